"""The fine part of gradient-domain blending: what the source differs by at the seam, fading out over the border."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..canvas.placement import Placement

PACE = 0.25
"""How fast waves die away, beside a membrane's. What is generated is usually softer than the source: were the source's
finest detail to end within a pixel, as on a membrane, the seam would still show."""
KERNEL_REACH = 4
"""Where a smoothing kernel is cut off, in units of the distance that it belongs to."""


@dataclass(frozen=True)
class Side:
    """One side of the source that has a border.

    ``axis``: 0 for left and right, 1 for top and bottom. ``edge``: the source's first or last column or row, in the
    source. ``depth``: how far into the border the fringe goes; ``before`` and ``after``: how far it goes on beyond the
    ends of the side, where the border turns a corner. All in target pixels.
    """

    axis: int
    edge: int
    depth: int
    before: int
    after: int

    def rectangle(self, placement: Placement) -> tuple[slice, slice]:
        """Rows and columns of the target that the fringe covers."""
        along, across = 1 - self.axis, self.axis
        start = placement.offset[along]
        line = slice(start - self.before, start + placement.source[along] + self.after)
        near = placement.offset[across] + self.edge
        border = slice(near + 1, near + 1 + self.depth) if self.edge else slice(near - self.depth, near)
        return (line, border) if self.axis == 0 else (border, line)


def sides(placement: Placement, reach: int) -> Iterator[Side]:
    """The sides with a border; fringes are ``reach`` pixels deep at most."""
    depths = [min(border, reach) for border in placement.border]
    for number, depth in enumerate(depths):
        if depth:
            axis, last = number % 2, number >= 2
            edge = placement.source[axis] - 1 if last else 0
            yield Side(axis, edge, depth, depths[1 - axis], depths[3 - axis])


def fringe(side: Side, line: Tensor, reach: int) -> Tensor:
    """The fringe of a line of differences (n, length, 3) along a side: (n, rows, columns, 3) on its rectangle.

    At distances that double, up to half of ``reach``, it is the line smoothed by the half plane's Poisson kernel, as a
    membrane would but slower (``PACE``), and evenly in between; at ``reach``, from 2 pixels up, nothing is left of it.
    Where two sides' fringes meet beyond a corner, each counts the more, the nearer its own side is: their sum has no
    step.
    """
    distances = [2**power for power in range((reach // 2).bit_length())]
    levels = torch.stack([_smoothed(line, side, distance) for distance in distances], dim=2)
    nodes = torch.tensor([*distances, reach], dtype=torch.float64)
    depth = torch.arange(1, side.depth + 1, dtype=torch.float64)
    upper = torch.searchsorted(nodes, depth).clamp(1, len(nodes) - 1)
    share = (depth - nodes[upper - 1]) / (nodes[upper] - nodes[upper - 1])
    weights = torch.zeros(side.depth, len(nodes), dtype=torch.float64)
    weights.scatter_(1, upper[:, None], share[:, None]).scatter_add_(1, upper[:, None] - 1, 1 - share[:, None])
    field = torch.einsum("d j, n l j c -> n l d c", weights[:, :-1].to(levels), levels)

    length = line.shape[1]
    beyond = torch.cat([torch.arange(side.before, 0, -1), torch.zeros(length), torch.arange(1, side.after + 1)])
    field = field * (depth / (depth + beyond[:, None])).to(field)[..., None]
    field = field if side.edge else field.flip(2)
    return field if side.axis == 0 else rearrange(field, "n l d c -> n d l c")


def _smoothed(line: Tensor, side: Side, distance: int) -> Tensor:
    """The line as a membrane shows it at a distance, and on beyond its ends: (n, before + length + after, 3)."""
    offsets = torch.arange(-KERNEL_REACH * distance, KERNEL_REACH * distance + 1, dtype=torch.float64)
    kernel = 1 / ((PACE * distance) ** 2 + offsets**2)
    kernel = (kernel / kernel.sum()).to(line)
    rows = rearrange(line, "n l c -> (n c) 1 l")
    half = len(offsets) // 2
    rows = F.pad(rows, (half + side.before, half + side.after), mode="replicate")
    return rearrange(F.conv1d(rows, kernel[None, None]), "(n c) 1 l -> n l c", n=len(line))
