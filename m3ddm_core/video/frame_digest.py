"""One hash of a decoded frame: of all that the picture depends on which is made of it."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

import numpy as np

from .pictures import PictureReader, row_bytes, rows_of
from .shown import Orientation


class FrameDigest:
    """Hashes PyAV's frames of one stream as they are stored, with their colours and how they are to be shown.

    The libraries that decode them count too: others may make other pictures.
    """

    def __init__(self, stream: Any) -> None:
        import av

        self._of_all = av.__version__, sorted(av.library_versions.items()), stream.sample_aspect_ratio
        self._read = PictureReader(Fraction(1))

    def __call__(self, frame: Any) -> str:
        """The SHA-256 of a frame, in hexadecimal."""
        tags = (int(tag) for tag in (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc))
        told = *self._of_all, frame.format.name, frame.width, frame.height, Orientation.of(frame), *tags
        sha = hashlib.sha256(repr((*told, frame.interlaced_frame)).encode())
        rows = row_bytes(frame.format)
        if rows is None:
            sha.update(self._read(frame))
            return sha.hexdigest()
        for plane, used in zip(frame.planes, rows, strict=True):
            sha.update(np.ascontiguousarray(rows_of(plane, used)))
        return sha.hexdigest()
