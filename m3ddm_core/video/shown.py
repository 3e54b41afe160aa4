"""How a file asks for its stored pictures to be shown: turned, mirrored, and with pixels that are no squares."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

WIDEST_PIXEL = 4
"""Pixels that are said to be wider or higher than this are taken as square: no camera or disc has them."""


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways in which a picture can lie: rows and columns ``swapped``, and then each axis turned round.

    ``mirrored``: left is right; ``upended``: top is bottom.
    """

    swapped: bool = False
    mirrored: bool = False
    upended: bool = False

    @classmethod
    def of(cls, frame: Any) -> Orientation:
        """That of a PyAV frame, the nearest of the eight.

        The file's matrix (FFmpeg's libavutil/display.h) takes a stored pixel (x, y) to (a x + c y, b x + d y).
        """
        from av.sidedata.sidedata import Type

        try:
            matrix = frame.side_data.get(Type.DISPLAYMATRIX)
        except ValueError:
            # PyAV has no name for what some frames carry, such as the views of a spatial video, and then gives nothing.
            return _TURNED[round(frame.rotation / 90) % 4]
        if matrix is None:
            return cls()
        a, b, _, c, d, *_ = (int(number) for number in np.frombuffer(matrix, np.int32))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as they are shown."""
        return (height, width) if self.swapped else (width, height)

    def turn(self, picture: np.ndarray) -> np.ndarray:
        """A stored picture (h, w, c) as it is shown; a view."""
        if self.swapped:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.upended else 1, :: -1 if self.mirrored else 1]


_TURNED = (
    Orientation(),
    Orientation(swapped=True, upended=True),
    Orientation(mirrored=True, upended=True),
    Orientation(swapped=True, mirrored=True),
)
"""By the number of quarter turns to the left."""


def pixel_aspect(stream: Any) -> Fraction:
    """The width of a stream's stored pixels over their height; 1 where it does not say, or says what cannot be."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not Fraction(1, WIDEST_PIXEL) <= aspect <= WIDEST_PIXEL:
        logging.warning("M3DDM: got pixels of %s in the video, which no camera has; they are taken as square.", aspect)
        return Fraction(1)
    return aspect


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size in square pixels of a picture whose pixels are ``aspect`` wide: it is stretched, never shrunk.

    The side that grows becomes even, so that an encoder asks for no border beside a picture that has its shape.
    """
    if aspect == 1:
        return width, height
    return (_even(width * aspect), height) if aspect > 1 else (width, _even(height / aspect))


def _even(length: Fraction) -> int:
    return max(2 * round(length / 2), 2)
