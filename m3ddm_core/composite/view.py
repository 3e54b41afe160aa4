"""Generated frames of one size, as the target and the seam see them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..canvas.placement import Placement
from .resample import resample, resampling_matrix
from .seam import SeamBand


@dataclass(frozen=True, eq=False)
class View:
    """What reads generated frames (n, gh, gw, 3) of one ``size``, (gh, gw).

    ``rows`` (target height, gh) and ``columns`` (target width, gw) read them at the target's pixels; ``band`` reads
    them, and the source, along the seam.
    """

    placement: Placement
    size: tuple[int, int]
    rows: Tensor
    columns: Tensor
    band: SeamBand

    @classmethod
    def of(cls, placement: Placement, size: tuple[int, int], kernel: str) -> View:
        """Make the view of frames of (height, width). ``kernel``: a key of `KERNELS`; any other raises ValueError."""
        columns, rows = (_target_matrix(placement, axis, size[1 - axis], kernel) for axis in (0, 1))
        return cls(placement, size, rows, columns, SeamBand.of(placement, size))

    @property
    def own(self) -> tuple[slice, slice]:
        """The source's rows and columns in the target."""
        (x, y), (width, height) = self.placement.offset, self.placement.source
        return slice(y, y + height), slice(x, x + width)

    def of_target(self, frames: Tensor, rectangle: tuple[slice, slice]) -> Tensor:
        """Generated frames at the pixels of a rectangle (rows, columns) of the target."""
        return resample(frames, self.rows[rectangle[0]], self.columns[rectangle[1]])

    def of_source(self, frames: Tensor, rectangle: tuple[slice, slice]) -> Tensor:
        """Generated frames at the pixels of a rectangle (rows, columns) of the source."""
        rows, columns = self.own
        return resample(frames, self.rows[rows][rectangle[0]], self.columns[columns][rectangle[1]])


def _target_matrix(placement: Placement, axis: int, size: int, kernel: str) -> Tensor:
    """Reads a generated axis of `size` pixels at every target pixel, such that the source's rectangle on the canvas
    falls exactly on the source's rectangle in the target."""
    start, length = placement.canvas_source[axis], placement.canvas_source[axis + 2]
    factor = size / placement.canvas[axis]
    step = factor * length / placement.source[axis]
    first = factor * start + (0.5 - placement.offset[axis]) * step - 0.5
    return resampling_matrix(first, step, placement.target[axis], size, kernel)
