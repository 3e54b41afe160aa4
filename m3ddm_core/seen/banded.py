"""Least squares over the frames of a scene where only frames near each other have to do with each other."""

from __future__ import annotations

import torch
from torch import Tensor

REACH = 32
"""Frames this far apart may be tied, no farther: so the equations are a band, and time grows with the frames alone."""


class Band:
    """Normal equations of ``count`` unknowns for each of ``frames`` frames, in blocks of `REACH` frames."""

    def __init__(self, frames: int, count: int):
        self.frames, self.count, self.side = frames, count, REACH * count
        blocks = -(-frames // REACH)
        self.own = torch.zeros(blocks * self.side * self.side, dtype=torch.float64)
        self.next = torch.zeros_like(self.own)
        self.right = torch.zeros(blocks * REACH, count, dtype=torch.float64)

    def add(self, first: Tensor, second: Tensor, values: Tensor) -> None:
        """Add blocks (b, count, count) in the rows of frames ``first`` (b,) and the columns of ``second``.

        ``second`` may not be before ``first``; what lies below the diagonal is not stored twice.
        """
        block = first // REACH
        later = second // REACH > block
        inner = torch.arange(self.count)
        rows = (first % REACH * self.count)[:, None, None] + inner[:, None]
        columns = (second % REACH * self.count)[:, None, None] + inner
        at = (block[:, None, None] * self.side + rows) * self.side + columns
        for part, which in ((self.own, ~later), (self.next, later)):
            part.index_add_(0, at[which].flatten(), values[which].flatten())
        mirrored = ~later & (first != second)
        across = (block[:, None, None] * self.side + columns) * self.side + rows
        self.own.index_add_(0, across[mirrored].flatten(), values[mirrored].flatten())

    def add_right(self, frames: Tensor, values: Tensor) -> None:
        """Add to the right side, (b, count), of some frames."""
        self.right.index_add_(0, frames, values)

    def solve(self, held: int) -> Tensor:
        """The unknowns (frames, count), those of frame ``held`` as good as zero."""
        own, following = (part.view(-1, self.side, self.side).clone() for part in (self.own, self.next))
        diagonal = own.diagonal(dim1=1, dim2=2)
        usual = diagonal[diagonal > 0].mean() if (diagonal > 0).any() else torch.ones((), dtype=torch.float64)
        diagonal += 1e-9 * usual
        place = held % REACH * self.count
        diagonal[held // REACH, place : place + self.count] += 1e6 * usual
        right = self.right.view(len(own), self.side, 1).clone()
        # Block by block downwards, each freed of what the one before has to say, and back up.
        for number in range(1, len(own)):
            freed = torch.linalg.solve(own[number - 1], torch.cat([following[number - 1], right[number - 1]], dim=1))
            own[number] -= following[number - 1].mT @ freed[:, :-1]
            right[number] -= following[number - 1].mT @ freed[:, -1:]
        found = [torch.linalg.solve(own[-1], right[-1])]
        for number in range(len(own) - 2, -1, -1):
            found.append(torch.linalg.solve(own[number], right[number] - following[number] @ found[-1]))
        return torch.cat(found[::-1]).view(-1, self.count)[: self.frames]
