"""Seen pixels on their way through a video: looked for in its scenes, and started from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from ..canvas.build import Shown
from ..frames import resize
from ..seen.around import Around
from ..seen.look import Keep, always_look, look_through
from ..seen.recipe import USES, ReadFrame, Seen, unseen
from ..seen.scenes import SeenScenes
from .progress import SCAN_SHARE, Report, Standing
from .scenes import Scene, ShowFrames
from .source import Source


class Uses(NamedTuple):
    """Whether sampling starts from seen pixels, whether they are laid over the result, and whether latents that are
    wholly seen count as known."""

    start: bool = False
    layer: bool = False
    known: bool = False


def uses_of(use: str) -> Uses:
    """What one of the words of `USES` stands for. Raises ValueError for another."""
    if use not in USES:
        raise ValueError(f"got seen={use!r}, expected one of {', '.join(USES)}")
    return Uses(use in ("start", "both", "known"), use in ("layer", "both", "known"), use == "known")


def uses_beside(use: str, source_mask: Tensor | None) -> Uses:
    """The same for a video that may have a source mask: what lies under that would pass for filmed, so nothing is used.

    That is logged.
    """
    uses = uses_of(use)
    if source_mask is None or not any(uses):
        return uses
    logging.info("M3DDM: a source mask is given, so other frames are not searched for the border's pixels.")
    return Uses()


def look_at_source(source: Source, scenes: Sequence[Scene], report: Report, keep: Keep = always_look) -> SeenScenes:
    """Read a video once and look around in each of its scenes; what was found is logged. ``keep``: as there."""
    count, frames, found = len(source.info.timeline), source.frames(), []

    def heed(first: int, done: int) -> None:
        report(Standing(SCAN_SHARE, f"looking around, frame {first + done} of {count}"))

    first = 0
    for scene in scenes:
        found.append(_look_at_scene(islice(frames, len(scene)), scene, partial(heed, first), keep))
        first += len(scene)
    seen = SeenScenes(found)
    for told in seen.reports:
        logging.info("M3DDM: %s.", told)
    return seen


def _look_at_scene(frames: Iterator[Tensor], scene: Scene, on_frame: Callable[[int], None], keep: Keep) -> Seen:
    if not scene.decision.leave:
        return look_through(frames, scene.placement, [len(scene)], on_frame=on_frame, keep=keep)
    for done, _ in enumerate(frames, start=1):
        on_frame(done)
    return unseen(scene.placement, len(scene), "left as it is")


def show_from_source(source: Source, seen: SeenScenes, *, known: bool = False) -> ShowFrames:
    """What is seen of a video's frames, on the canvas; it is read once more, and asked for in rising order.

    ``known``: see `Shown`.
    """

    def keep(frame: Tensor, number: int) -> Tensor:
        return resize(frame[None], seen.placement(number).canvas_source[2:])[0]

    around = Around(source.frames(), seen, keep)
    return lambda first, last: _shown(seen, around.of, range(first, last), known)


def show_frames(seen: Seen, frames: Tensor, *, known: bool = False) -> Shown:
    """What is seen of all frames (n, h, w, 3 or 4) in memory, on the canvas; ``known``: see `Shown`."""
    return _shown(seen, lambda number: frames.__getitem__, range(len(frames)), known)


def _shown(seen: Seen | SeenScenes, of: Callable[[int], ReadFrame], numbers: range, known: bool) -> Shown:
    """Pixels to start from, which only have to be likely, or, ``known``, those that are taken for true."""
    found = [seen.on_canvas(number, of(number)) for number in numbers]
    where = torch.stack([picture.known if known else picture.likely for picture in found])
    return Shown(torch.stack([picture.pixels for picture in found]), where, known)
