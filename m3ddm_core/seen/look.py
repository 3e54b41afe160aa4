"""Look around: what a video's own frames have filmed beyond the border of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..canvas.build import require_source
from ..canvas.placement import Placement
from ..frames import chunks, drop_alpha, resize
from .check import check
from .doubt import confidence_of, doubt
from .recipe import CONFIDENT, SceneReport, Seen, canvas_border
from .still import is_still
from .survey import survey

SHORTEST = 4
"""Frames of a scene in which there is anything to look for."""


@torch.no_grad()
def look_around(
    frames: Tensor,
    placement: Placement,
    cuts: Sequence[int] = (),
    *,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Seen:
    """Find, for every frame's border, the pixels that other frames of the same scene have filmed.

    frames: (n, h, w, 3 or 4), float, 0..1, of the placement's source size. cuts: the numbers of the frames that begin
        another scene, in order (see `find_cuts`). ``on_frame(done, total)`` hears of each frame.

    The same frames give the same bytes, and a scene the same whatever lies before and after it. Raises ValueError for
    frames of another size.
    """
    require_source(frames, placement)
    working = _working(frames, placement)
    n, pixels = len(frames), len(canvas_border(placement).pixels)
    seen = Seen(
        placement,
        torch.zeros(n, pixels, dtype=torch.int8),
        torch.zeros(n, pixels, dtype=torch.uint8),
        torch.eye(3, dtype=torch.float64).repeat(n, 1, 1),
        torch.ones(n, 3),
        (),
    )
    ends = [*cuts, n]
    scenes = []
    for first, last in zip([0, *cuts], ends, strict=True):
        scenes.append(_look_at_scene(seen, working, first, last, lambda done: on_frame(done, n)))
        on_frame(last, n)
    return Seen(placement, seen.offsets, seen.confidence, seen.path, seen.gains, tuple(scenes))


def _working(frames: Tensor, placement: Placement) -> Tensor:
    """The frames at the size that they have on the canvas, float32."""
    height, width = frames.shape[1:3]
    parts = [
        resize(drop_alpha(frames[some]).float().cpu(), placement.canvas_source[2:])
        for some in chunks(len(frames), width, height)
    ]
    return torch.cat(parts)


def _look_at_scene(seen: Seen, working: Tensor, first: int, last: int, on_frame: Callable[[int], None]) -> SceneReport:
    """Write what is found in the frames from ``first`` to before ``last`` into ``seen``."""
    frames, border = working[first:last], seen.border
    if not len(border.pixels):
        return SceneReport(first, last, False, 0.0, 0.0, "nothing lies beyond the source")
    if len(frames) < SHORTEST:
        return SceneReport(first, last, False, 0.0, 0.0, "too short to look around in")
    if is_still(frames, seen.placement.source):
        return SceneReport(first, last, True, 0.0, 0.0, "the camera stands still")
    verdict = check(frames, border)
    if verdict.strictness:
        for stretched in survey(frames, border):
            own = slice(first + stretched.stretch.first, first + stretched.stretch.first + len(stretched.stretch))
            seen.path[own], seen.gains[own] = stretched.stretch.path, stretched.gains
            for number in range(len(stretched.stretch)):
                answer = stretched.ask(number)
                if answer is not None:
                    trust = confidence_of(doubt(answer, stretched.trust.noise), verdict.strictness, border)
                    seen.confidence[own.start + number] = (trust * 255).round().byte()
                    seen.offsets[own.start + number] = answer.offset.to(torch.int8)
                on_frame(own.start + number)
    share = (seen.confidence[first:last] >= CONFIDENT * 255).float().mean().item()
    return SceneReport(first, last, False, verdict.strictness, share, verdict.words)
