"""A video without some of its edges: what is taken off before it is outpainted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .cuts import THUMBNAIL
from .digests import derived
from .source import Source, VideoInfo

LEAST_SIDE = 16
"""Pixels that must be left."""


@dataclass(frozen=True)
class Crop:
    """Pixels taken off each side of a picture as it is shown. Raises ValueError for numbers below 0."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        if min(self.top, self.bottom, self.left, self.right) < 0:
            raise ValueError(f"got a crop of {self}, expected 0 or more pixels on each side")

    def __str__(self) -> str:
        return f"{self.top} above, {self.bottom} below, {self.left} left, {self.right} right"

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (width, height) that is left of one. Raises ValueError where that is less than `LEAST_SIDE`."""
        width, height = size[0] - self.left - self.right, size[1] - self.top - self.bottom
        if min(width, height) < LEAST_SIDE:
            raise ValueError(
                f"got a crop of {self} from frames of {size[0]}x{size[1]}, expected at least {LEAST_SIDE}x{LEAST_SIDE} "
                "to be left; take less off"
            )
        return width, height

    def of(self, picture: Tensor) -> Tensor:
        """What is left of pictures (..., h, w, c); a view."""
        height, width = picture.shape[-3:-1]
        return picture[..., self.top : height - self.bottom, self.left : width - self.right, :]

    def of_mask(self, mask: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        """What is left of masks (h, w) or (n, h, w) over frames of ``size``; those of another are returned as they are,
        for `check_mask` to refuse."""
        if mask is None or tuple(mask.shape[-2:]) != size[::-1]:
            return mask
        return self.of(mask[..., None])[..., 0]


class CroppedSource:
    """A source of which some pixels are taken off each side; times and sound stay.

    ``first`` and ``last`` choose the frames from ``first`` to before ``last``. Nothing is read until frames are.
    """

    def __init__(self, source: Source, crop: Crop, first: int = 0, last: int | None = None):
        self.source, self.crop = source, crop
        whole = source.info.timeline
        self.first, self.last = first, len(whole) if last is None else last
        self.info: VideoInfo = replace(
            source.info, size=crop.size(source.info.size), timeline=whole.cut(self.first, self.last)
        )
        self.sound = source.sound and source.sound.cut(whole.second(self.first), whole.second(self.last))

    def part(self, first: int, last: int) -> CroppedSource:
        """The frames from ``first`` to before ``last`` of these."""
        return CroppedSource(self.source, self.crop, self.first + first, self.first + last)

    @property
    def digests(self) -> tuple[str, ...] | None:
        """As `Source` has them."""
        whole = self.source.digests
        return whole and derived(whole[self.first : self.last], f"without {self.crop}")

    def frames(self) -> Iterator[Tensor]:
        """Each frame (h, w, 3), float32, 0..1."""
        return map(self.crop.of, islice(self.source.frames(), self.first, self.last))

    @cached_property
    def thumbnails(self) -> Tensor:
        """(n, 36, 64, 3), uint8, of what is left: bars would make all pictures alike."""
        thumbnails = self.source.thumbnails[self.first : self.last]
        rows, columns = (
            slice(-(-before * count // side), count - -(-after * count // side))
            for before, after, count, side in zip(
                (self.crop.top, self.crop.left),
                (self.crop.bottom, self.crop.right),
                thumbnails.shape[1:3],
                self.source.info.size[::-1],
                strict=True,
            )
        )
        return torch.cat([_stretched(part[:, rows, columns]) for part in thumbnails.split(512)])


def _stretched(pictures: Tensor) -> Tensor:
    """Pictures (n, h, w, 3), uint8, at the size of thumbnails."""
    planes = rearrange(pictures, "n h w c -> n c h w").float()
    resized = F.interpolate(planes, THUMBNAIL[::-1], mode="bilinear", align_corners=False)
    return rearrange(resized.round().to(torch.uint8), "n c h w -> n h w c")
