"""The frames around the one that is being made: read once, in order, and kept as long as a recipe needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .recipe import ReadFrame, Seen


class Around:
    """Reads the frames (h, w, 3), float, that recipes of a video name, ahead of the frame they are for.

    frames: all of the video, from its first. keep: what is kept of one, such as a smaller picture.
    """

    def __init__(self, frames: Iterator[Tensor], seen: Seen, keep: Callable[[Tensor], Tensor] = lambda frame: frame):
        self.frames, self.keep = frames, keep
        self.needed = [sources_named(seen, number) for number in range(len(seen))]
        self.until = {other: number for number, named in enumerate(self.needed) for other in named}
        self.read, self.kept = 0, {}

    def of(self, number: int) -> ReadFrame:
        """What reads the frames that the recipe of frame ``number`` names; asked for in rising order."""
        farthest = max(self.needed[number], default=-1)
        while self.read <= farthest:
            frame = next(self.frames)
            if self.until.get(self.read, -1) >= number:
                self.kept[self.read] = self.keep(frame)
            self.read += 1
        for other in [other for other in self.kept if self.until[other] < number]:
            del self.kept[other]
        return self.kept.__getitem__


def sources_named(seen: Seen, number: int) -> list[int]:
    """The numbers of the frames that a frame's recipe names."""
    offsets = seen.offsets[number].unique().tolist()
    return [number + offset for offset in offsets if offset]


def as_bytes(frame: Tensor) -> Tensor:
    """A frame in 0..1 as uint8: a quarter of the memory, and no loss for 8-bit video."""
    return (frame * 255).round().clamp(0, 255).to(torch.uint8)
