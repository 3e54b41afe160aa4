"""Gradient-domain blending: a smooth correction that takes the generated border to the source's colours at the seam.

The correction is a membrane over the border (Laplace's equation, as in Perez et al., "Poisson image editing", 2003)
that hangs on the difference between source and generated picture along the seam. It comes in two parts. The broad part
is solved on a coarse grid, once for all frames, as a matrix from the cells at the seam to all cells; over time it
changes no more than it has to. The fine part is what is left at the seam itself, pixel by pixel: it dies away within
the length of two cells, and short waves sooner.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..canvas.placement import Placement
from .colour_match import BLOCK, surprise
from .resample import resample, resampling_matrix
from .seam import SeamBand

CELLS = 32
"""Cells along the target's longer side."""
REACH = 2
"""In cells: how far from the seam the fine part dies away, and the side of the square that a cell is measured over."""
LEAST_BELIEF = 0.1
"""What is believed at least of a change of the seam's colours, however small."""


class Membrane:
    """The broad part, at the generated frames' size (height, width). Carries the seam's colours from frame to frame."""

    def __init__(self, placement: Placement, band: SeamBand, generated: tuple[int, int]):
        self.gather, rim = _cells_at_the_seam(placement, band)
        self.spread = _harmonic(rim)
        self.shape = rim.shape
        cell = cell_size(placement)
        self.measurements = max((REACH * cell) ** 2 / BLOCK, 1.0)
        x, y, _, _ = placement.canvas_target
        self.rows, self.columns = (
            resampling_matrix((step / 2 - corner) / cell - 0.5, step / cell, size, cells, "bicubic")
            for corner, size, cells, step in (
                (y, generated[0], rim.shape[0], placement.canvas[1] / generated[0]),
                (x, generated[1], rim.shape[1], placement.canvas[0] / generated[1]),
            )
        )
        self.seam: Tensor | None = None

    def __call__(self, difference: Tensor) -> Tensor:
        """The correction (n, gh, gw, 3) of the next ``n`` frames, from the band's differences (n, pixels, 3)."""
        gather = self.gather.to(difference)
        mean = gather @ difference
        chance = (gather @ difference**2 - mean**2).mean(-1, keepdim=True) / self.measurements
        seam = torch.stack([self._next(*frame) for frame in zip(mean, chance, strict=True)])
        field = (self.spread.to(seam) @ seam).unflatten(1, self.shape)
        return resample(field, self.rows, self.columns)

    def _next(self, frame: Tensor, chance: Tensor) -> Tensor:
        """The colours of the seam's cells, (cells, 3), held steady where they change no more than by chance."""
        past = torch.zeros_like(frame) if self.seam is None else self.seam
        change = torch.where(torch.isfinite(frame), frame - past, 0)
        belief = surprise((change**2).mean(1, keepdim=True), chance.nan_to_num()).clamp(min=LEAST_BELIEF)
        self.seam = past + (change if self.seam is None else belief * change)
        return self.seam


def cell_size(placement: Placement) -> int:
    """Side of a cell in canvas pixels."""
    return -(-max(placement.canvas_target[2:]) // CELLS)


def _cells_at_the_seam(placement: Placement, band: SeamBand) -> tuple[Tensor, Tensor]:
    """A matrix from the band's pixels to the mean around each cell at the seam, and the grid, True on those cells."""
    cell = cell_size(placement)
    x, y, width, height = placement.canvas_target
    left, top, source_width, source_height = placement.canvas_source
    known = torch.zeros(1, height, width)
    known[:, top - y : top - y + source_height, left - x : left - x + source_width] = 1
    some_known, some_unknown = (F.max_pool2d(part, cell, ceil_mode=True) for part in (known, 1 - known))
    rim = (some_known * F.max_pool2d(some_unknown, 3, stride=1, padding=1))[0] > 0

    centres = (rim.nonzero() + 0.5) * cell
    positions = band.positions + torch.tensor([top - y, left - x])
    near = (centres[:, None] - positions).abs().amax(-1) <= cell * REACH / 2
    # A cell that only touches a corner may have no pixel of its own: the membrane runs through it.
    measured = near.any(1)
    rim[rim.clone()] = measured
    near = near[measured].double()
    return (near / near.sum(1, keepdim=True)).float(), rim


def _harmonic(rim: Tensor) -> Tensor:
    """The matrix (all cells, cells at the seam) that lets every other cell be the mean of its neighbours."""
    number = torch.arange(rim.numel()).reshape(rim.shape)
    pairs = torch.cat(
        [
            torch.stack([number[1:].flatten(), number[:-1].flatten()], 1),
            torch.stack([number[:, 1:].flatten(), number[:, :-1].flatten()], 1),
        ]
    )
    laplacian = torch.zeros(rim.numel(), rim.numel(), dtype=torch.float64)
    laplacian[pairs[:, 0], pairs[:, 1]] = laplacian[pairs[:, 1], pairs[:, 0]] = -1
    laplacian.diagonal().copy_(-laplacian.sum(1))
    held, free = rim.flatten().nonzero()[:, 0], (~rim).flatten().nonzero()[:, 0]
    matrix = torch.zeros(rim.numel(), len(held), dtype=torch.float64)
    matrix[held] = torch.eye(len(held), dtype=torch.float64)
    matrix[free] = -torch.linalg.solve(laplacian[free][:, free], laplacian[free][:, held])
    return matrix.float()
