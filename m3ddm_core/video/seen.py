"""Seen pixels on their way through a video: looked for in its scenes, and started from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..canvas.build import Shown
from ..canvas.placement import Placement
from ..frames import resize
from ..seen.around import Around
from ..seen.look import look_through
from ..seen.recipe import USES, ReadFrame, Seen
from .progress import SCAN_SHARE, Report, Standing
from .scenes import Scene, ShowFrames
from .source import Source


def uses_of(use: str) -> tuple[bool, bool]:
    """Whether sampling starts from seen pixels, and whether they are laid over the result.

    Raises ValueError for another word than those of `USES`.
    """
    if use not in USES:
        raise ValueError(f"got seen={use!r}, expected one of {', '.join(USES)}")
    return use in ("start", "both"), use in ("layer", "both")


def uses_beside(use: str, source_mask: Tensor | None) -> tuple[bool, bool]:
    """The same for a video that may have a source mask: what lies under that would pass for filmed, so nothing is used.

    That is logged.
    """
    uses = uses_of(use)
    if source_mask is None or not any(uses):
        return uses
    logging.info("M3DDM: a source mask is given, so other frames are not searched for the border's pixels.")
    return False, False


def look_at_source(source: Source, placement: Placement, scenes: Sequence[Scene], report: Report) -> Seen:
    """Read a video once and look around in each of its scenes; what was found is logged."""
    count = len(source.info.timeline)

    def on_frame(done: int) -> None:
        report(Standing(SCAN_SHARE, f"looking around, frame {done} of {count}"))

    seen = look_through(source.frames(), placement, [len(scene) for scene in scenes], on_frame=on_frame)
    for scene in seen.scenes:
        logging.info("M3DDM: %s.", scene)
    return seen


def show_from_source(source: Source, seen: Seen) -> ShowFrames:
    """What is seen of a video's frames, on the canvas; it is read once more, and asked for in rising order."""
    size = seen.placement.canvas_source[2:]
    around = Around(source.frames(), seen, lambda frame: resize(frame[None], size)[0])
    return lambda first, last: _shown(seen, around.of, first, last)


def show_frames(seen: Seen, frames: Tensor) -> Shown:
    """What is seen of all frames (n, h, w, 3 or 4) in memory, on the canvas."""
    return _shown(seen, lambda number: frames.__getitem__, 0, len(frames))


def _shown(seen: Seen, of: Callable[[int], ReadFrame], first: int, last: int) -> Shown:
    found = [seen.on_canvas(number, of(number)) for number in range(first, last)]
    return torch.stack([picture.pixels for picture in found]), torch.stack([picture.known for picture in found])
