"""Look around: what a video's own frames have filmed beyond the border of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from ..canvas.build import require_source
from ..canvas.placement import Placement
from ..frames import drop_alpha, frames_at_once, grouped, resize
from .check import check
from .doubt import confidence_of
from .finding import find
from .packed import put_part
from .recipe import CONFIDENT, LIKELY, SceneReport, Seen, unseen
from .still import is_still
from .survey import survey

REVISION = 6
"""To be raised whenever other pixels are found in the same frames, or trusted otherwise."""

SHORTEST = 4
"""Frames of a scene in which there is anything to look for."""

HELD, SHORTEST_PART = 2**22, 96
"""Pixels of all frames that are worked on at a time, some 110 bytes each. A longer scene is looked at in parts, which
do not know each other, but of no fewer frames."""

Keep = Callable[[Tensor, Seen, Callable[[], Seen]], Seen]
"""``keep(frames, unseen, look)`` gives what ``look()`` finds in frames (n, h, w, 3), float32, or what it found in them
before. ``unseen``: recipes of the same frames with nothing in them."""


def always_look(frames: Tensor, unseen: Seen, look: Callable[[], Seen]) -> Seen:
    """A `Keep` that keeps nothing."""
    return look()


@torch.no_grad()
def look_around(
    frames: Tensor,
    placement: Placement,
    cuts: Sequence[int] = (),
    *,
    on_frame: Callable[[int], None] = lambda done: None,
) -> Seen:
    """Find, for every frame's border, the pixels that other frames of the same scene have filmed.

    frames: (n, h, w, 3 or 4), float, 0..1, of the placement's source size. cuts: the numbers of the frames that begin
        another scene, in order (see `find_cuts`). ``on_frame(done)`` hears of each frame, and
        now and then in between; it may raise, to stop.

    The same frames give the same bytes, and a scene the same whatever lies before and after it. Raises ValueError for
    frames of another size.
    """
    require_source(frames, placement)
    ends = [*cuts, len(frames)]
    lengths = [end - start for start, end in zip([0, *cuts], ends, strict=True)]
    return look_through(iter(drop_alpha(frames)), placement, lengths, on_frame=on_frame)


@torch.no_grad()
def look_through(
    frames: Iterator[Tensor],
    placement: Placement,
    lengths: Sequence[int],
    *,
    on_frame: Callable[[int], None] = lambda done: None,
    keep: Keep = always_look,
) -> Seen:
    """The same for frames (h, w, 3) that come one by one, in scenes of these ``lengths``.

    Small pictures are held of as many of a scene's frames as `HELD` allows, of all frames recipes. ``keep`` may know
    already what is found.
    """
    seen, scenes, first = unseen(placement, sum(lengths)), [], 0
    for part in (part for length in lengths for part in _parts(length, placement.canvas_source[2:])):
        working, nothing = _working(islice(frames, part), placement), unseen(placement, part)

        def heed(done: int, first: int = first) -> None:
            on_frame(first + done)

        found = keep(working, nothing, partial(_look_at_part, nothing, working, heed))
        put_part(seen, found, first)
        (report,) = found.scenes
        scenes.append(replace(report, first=first, last=first + part))
        first += part
        on_frame(first)
    return replace(seen, scenes=tuple(scenes))


def _parts(length: int, size: tuple[int, int]) -> list[int]:
    """The frames of each part that a scene of frames of a ``size`` is looked at in."""
    most = max(SHORTEST_PART, HELD // (size[0] * size[1]))
    count = max(-(-length // most), 1)
    return [length * (number + 1) // count - length * number // count for number in range(count)]


def _working(frames: Iterator[Tensor], placement: Placement) -> Tensor:
    """Frames (h, w, 3) at the size that they have on the canvas, (n, h', w', 3), float32."""
    size = placement.canvas_source[2:]
    parts = [resize(part.float().cpu(), size) for part in grouped(frames, frames_at_once(*placement.source))]
    return torch.cat(parts) if parts else torch.zeros(0, size[1], size[0], 3)


def _look_at_part(seen: Seen, frames: Tensor, on_frame: Callable[[int], None]) -> Seen:
    """What is found in the frames of a scene, or of a part of one: written into ``seen``, and told of."""
    still, strictness, words = _fill(seen, frames, on_frame)
    share = (seen.confidence >= CONFIDENT * 255).float().mean().item() if strictness else 0.0
    return replace(seen, scenes=(SceneReport(0, len(frames), still, strictness, share, words),))


def _fill(seen: Seen, frames: Tensor, on_frame: Callable[[int], None]) -> tuple[bool, float, str]:
    """Write what is found in ``frames`` into ``seen``; returns still, strictness and words of its `SceneReport`."""
    border = seen.border
    if not len(border.pixels):
        return False, 0.0, "nothing lies beyond the source"
    if len(frames) < SHORTEST:
        return False, 0.0, "too short to look around in"
    if is_still(frames, seen.placement.source):
        return True, 0.0, "the camera stands still"

    def heed() -> None:
        on_frame(0)

    checks = check(frames, border, heed)
    strictness = max(verdict.strictness for verdict in checks.verdicts)
    if strictness:
        for motions in survey(frames, border, heed):
            first, length = motions[0].stretch.first, len(motions[0].stretch)
            own, allowed = slice(first, first + length), checks.of(motions)
            seen.paths[own, : len(motions)] = torch.stack([motion.stretch.path for motion in motions], dim=1)
            seen.gains[own] = motions[0].gains
            for number in range(length):
                finding = find(motions, allowed, number)
                if finding is not None:
                    trust = confidence_of(finding.doubts, border)
                    seen.confidence[first + number] = (trust * 255).round().byte()
                    wanted = trust >= LIKELY
                    seen.offsets[first + number] = torch.where(wanted, finding.offset, 0).to(torch.int8)
                    seen.motions[first + number] = finding.motion.to(torch.uint8)
                on_frame(first + number + 1)
    return False, strictness, checks.words
