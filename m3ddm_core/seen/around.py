"""The frames around the one that is being made: read once, in order, and kept as long as a recipe needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from .recipe import ReadFrame

Keep = Callable[[Tensor, int], Tensor]
"""``keep(frame, number)``: what is kept of a frame (h, w, 3), float, such as a smaller picture."""


class Recipes(Protocol):
    """Recipes for frames, in order."""

    def __len__(self) -> int: ...

    def named(self, number: int) -> list[int]:
        """The numbers of the frames that a frame's recipe names."""


class Around:
    """Reads the frames (h, w, 3), float, that recipes of a video name, ahead of the frame they are for.

    frames: all of the video, from its first.
    """

    def __init__(self, frames: Iterator[Tensor], recipes: Recipes, keep: Keep = lambda frame, number: frame):
        self.frames, self.keep = frames, keep
        self.needed = [recipes.named(number) for number in range(len(recipes))]
        self.until = {other: number for number, named in enumerate(self.needed) for other in named}
        self.read, self.kept = 0, {}

    def of(self, number: int) -> ReadFrame:
        """What reads the frames that the recipe of frame ``number`` names; asked for in rising order."""
        farthest = max(self.needed[number], default=-1)
        while self.read <= farthest:
            frame = next(self.frames)
            if self.until.get(self.read, -1) >= number:
                self.kept[self.read] = self.keep(frame, self.read)
            self.read += 1
        for other in [other for other in self.kept if self.until[other] < number]:
            del self.kept[other]
        return self.kept.__getitem__


def as_bytes(frame: Tensor, number: int) -> Tensor:
    """Keep a frame in 0..1 as uint8: a quarter of the memory, and no loss for 8-bit video."""
    return (frame * 255).round().clamp(0, 255).to(torch.uint8)


def as_halves(frame: Tensor, number: int) -> Tensor:
    """Keep a frame in half the memory."""
    return frame.half()
