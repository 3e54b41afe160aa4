"""The pixels that are to be found: what lies around a window onto the source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .motions import Window


@dataclass(frozen=True)
class Border:
    """A ``target`` (x, y, width, height) around a ``window``, whose first pixel is at 0, 0; x and y are not above 0."""

    window: Window
    target: tuple[int, int, int, int]

    @cached_property
    def outside(self) -> Tensor:
        """Where in the target the border lies, (height, width), bool."""
        x, y, width, height = self.target
        outside = torch.ones(height, width, dtype=torch.bool)
        outside[-y : -y + self.window.size[1], -x : -x + self.window.size[0]] = False
        return outside

    @cached_property
    def pixels(self) -> Tensor:
        """Its pixels (p, 2), float32, (column, row), counted from the window's first."""
        row, column = self.outside.nonzero().unbind(-1)
        return torch.stack([column + self.target[0], row + self.target[1]], dim=-1).float()

    @cached_property
    def points(self) -> Tensor:
        """The same as points, (p, 2)."""
        return self.window.points(self.pixels)

    @cached_property
    def beyond(self) -> Tensor:
        """How far beyond the window each lies, (p,), in the window's long sides."""
        last = torch.tensor(self.window.size) - 1
        apart = torch.maximum(-self.pixels, self.pixels - last).clamp(min=0)
        return apart.amax(-1) / max(self.window.size)

    def spread(self, values: Tensor, elsewhere: float) -> Tensor:
        """Values (..., p) as pictures (..., height, width) of the target."""
        pictures = values.new_full((*values.shape[:-1], *self.outside.shape), elsewhere)
        pictures[..., self.outside] = values
        return pictures
