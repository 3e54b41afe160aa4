"""The known pixels next to the generated border, as they were generated and as they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..canvas.placement import Placement
from .resample import resample, resampling_matrix


@dataclass(frozen=True, eq=False)
class SeamBand:
    """Pixels of the source on the canvas within an eighth of its side of generated border, at the canvas's size.

    ``strips``: up to four rectangles (rows, columns) of the source on the canvas, counted from its own corner, that
    share no pixel. ``made`` and ``true`` hold the matrices (rows, columns) that read one from generated frames and
    from source frames.
    """

    strips: tuple[tuple[slice, slice], ...]
    made: tuple[Tensor, Tensor]
    true: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, placement: Placement, generated: tuple[int, int]) -> SeamBand:
        """Make the band for generated frames of (height, width)."""
        made, true = [], []
        for axis in (1, 0):
            start, length = placement.canvas_source[axis], placement.canvas_source[axis + 2]
            factor = generated[1 - axis] / placement.canvas[axis]
            made.append(
                resampling_matrix(factor * (start + 0.5) - 0.5, factor, length, generated[1 - axis], "bilinear")
            )
            step = placement.source[axis] / length
            true.append(resampling_matrix(0.5 * step - 0.5, step, length, placement.source[axis], "bilinear"))
        return cls(tuple(_strips(placement)), (made[0], made[1]), (true[0], true[1]))

    @property
    def positions(self) -> Tensor:
        """(pixels, 2), float64: the centre of each pixel, row and column, from the source's corner on the canvas."""
        return torch.cat(
            [
                torch.cartesian_prod(
                    torch.arange(high.start, high.stop, dtype=torch.float64) + 0.5,
                    torch.arange(wide.start, wide.stop, dtype=torch.float64) + 0.5,
                )
                for high, wide in self.strips
            ]
        )

    def read_made(self, generated: Tensor) -> Tensor:
        """Generated frames (n, gh, gw, 3), float32, to (n, pixels, 3), in the order of ``positions``."""
        return self._read(generated, *self.made)

    def read_true(self, source: Tensor) -> Tensor:
        """Source frames (n, h, w, 3) to (n, pixels, 3), float32, in the order of ``positions``."""
        return self._read(source, *self.true)

    def read_all(self, generated: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """The whole source at the canvas's size, (n, height, width, 3) each: as it was generated, and as it is."""
        return resample(generated, *self.made).float(), resample(source, *self.true).float()

    def near(self, matte: Tensor) -> Tensor:
        """Known pixels of the source on the canvas within an eighth of its side of border or matte: (m, h, w), bool.

        matte: (m, h, w), bool, of that size.
        """
        around = matte[:, None].float()
        for axis, length in enumerate(around.shape[2:]):
            reach, flat = _depth(length), [0, 0]
            flat[axis] = reach
            window = [2 * one + 1 for one in flat]
            around = F.max_pool2d(around, window, stride=1, padding=flat)
        near = around[:, 0] > 0
        for high, wide in self.strips:
            near[:, high, wide] = True
        return near & ~matte

    def _read(self, frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        strips = [resample(frames, rows[high], columns[wide]).flatten(1, 2) for high, wide in self.strips]
        return torch.cat(strips, dim=1).float()


class Seam:
    """Generated frames (n, gh, gw, 3) and the source's (n, h, w, 3) beside each other along the border."""

    def __init__(self, band: SeamBand, frames: Tensor, source: Tensor):
        self.band, self.frames, self.source = band, frames, source

    @cached_property
    def made(self) -> Tensor:
        """The band's pixels as they were generated: (n, pixels, 3), float32, read when they are asked for."""
        return self.band.read_made(self.frames)

    @cached_property
    def true(self) -> Tensor:
        """The band's pixels as they are: (n, pixels, 3), float32, read when they are asked for."""
        return self.band.read_true(self.source)

    def recoloured(self, gain: Tensor, offset: Tensor) -> Seam:
        """The same with gain and offset, (n, 3) each, on what was generated."""
        seam = Seam(self.band, self.frames * gain[:, None, None] + offset[:, None, None], self.source)
        seam.made, seam.true = self.made * gain[:, None] + offset[:, None], self.true
        return seam


def rectangles(size: tuple[int, int], depths: tuple[int, int, int, int]) -> list[tuple[slice, slice]]:
    """Up to four rectangles (rows, columns) of a picture of ``size`` (width, height) that share no pixel.

    Together they hold all within ``depths`` (left, top, right, bottom) of the picture's edges.
    """
    (width, height), (left, top, right, bottom) = size, depths
    upper, lower = min(top, height), max(height - bottom, min(top, height))
    near, far = min(left, width), max(width - right, min(left, width))
    found = (
        (slice(0, upper), slice(0, width)),
        (slice(lower, height), slice(0, width)),
        (slice(upper, lower), slice(0, near)),
        (slice(upper, lower), slice(far, width)),
    )
    return [(high, wide) for high, wide in found if high.start < high.stop and wide.start < wide.stop]


def _strips(placement: Placement) -> list[tuple[slice, slice]]:
    _, _, width, height = placement.canvas_source
    wide, high = _depth(width), _depth(height)
    left, top, right, bottom = (bool(edge) for edge in placement.border)
    return rectangles((width, height), (wide * left, high * top, wide * right, high * bottom))


def _depth(length: int) -> int:
    return max(length // 8, min(length, 4))
