"""Photographs and cut-outs as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
LARGEST = 300_000_000
"""Pixels: a larger picture is taken for a broken one."""


class UnusableMaterial(ValueError):
    """A file that nothing can be learnt from, with what is wrong with it."""


def read_photograph(path: Path, shorter: int) -> np.ndarray:
    """A photograph, upright and with its shorter side shrunk to at most ``shorter``: (h, w, 3), uint8.

    Raises `UnusableMaterial`.
    """
    return np.asarray(_shrunk(_open(path).convert("RGB"), shorter, min))


def read_cut_out(path: Path, longer: int) -> np.ndarray:
    """A cut-out, trimmed, its longer side shrunk to at most ``longer``: (h, w, 4), uint8, alpha last, straight.

    Raises `UnusableMaterial`, also for a picture without transparent parts.
    """
    picture = _open(path).convert("RGBA")
    alpha = picture.getchannel("A")
    if alpha.getextrema() != (0, 255):
        raise UnusableMaterial("got a picture without transparent and opaque parts, expected a cut-out")
    return np.asarray(_shrunk(picture.crop(alpha.getbbox()), longer, max))


def _open(path: Path) -> Image:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        picture = Image.open(path)
        if picture.width * picture.height > LARGEST:
            raise UnusableMaterial(f"got {picture.width}x{picture.height} pixels, expected at most {LARGEST / 1e6:g} M")
        return ImageOps.exif_transpose(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableMaterial(f"got a file that cannot be read ({type(error).__name__}), expected a picture") from None


def _shrunk(picture: Image, side: int, which: type(min)) -> Image:
    from PIL import Image

    scale = side / which(picture.size)
    if scale >= 1:
        return picture
    size = tuple(max(1, round(length * scale)) for length in picture.size)
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
