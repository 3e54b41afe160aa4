"""Frames as motion is looked for in them: colour planes, ever smaller, and where there is anything to see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..frames import resize
from .motions import Window

LONGEST = 192
"""Pixels of the long side that motion is measured at: enough for a fiftieth of a pixel, a fifth of one at full HD."""

LEAST = 16
"""No level has a shorter side."""

COLOUR = 0.6
"""What differences of colour count for beside brightness: what is equally bright may differ in them."""

TEXTURE = 1 / 255
"""Mean contrast of fine detail from which there is something to see."""


AT_ONCE = 16
"""Frames that are blurred at a time: convolutions take some times what they are given."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """``levels``: planes (n, 3, h, w), float32, finest first; ``texture`` (n, h, w), bool, of the finest."""

    levels: tuple[Tensor, ...]
    windows: tuple[Window, ...]
    texture: Tensor

    def __len__(self) -> int:
        return len(self.levels[0])


def build_pyramid(frames: Tensor, source: tuple[int, int], longest: int = LONGEST) -> Pyramid:
    """Make the pyramid of frames (n, h, w, 3), float, 0..1, of a ``source`` of (width, height).

    longest: pixels of the long side of its finest level; nothing is enlarged.
    """
    height, width = frames.shape[1:3]
    factor = min(1.0, longest / max(width, height))
    size = tuple(max(LEAST, round(side * factor)) for side in (width, height))
    pictures = rearrange(resize(frames.float(), size), "n h w c -> n c h w")
    grey = (pictures * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    planes = torch.cat([grey, COLOUR * (pictures[:, :1] - grey), COLOUR * (pictures[:, 2:] - grey)], dim=1)
    levels = [blur(planes, 0.7)]
    while min(levels[-1].shape[-2:]) >= 2 * LEAST:
        half = tuple(side // 2 for side in levels[-1].shape[-2:])
        levels.append(F.interpolate(levels[-1], half, mode="bilinear", antialias=True, align_corners=False))
    windows = [Window(source, size)]
    for level in levels[1:]:
        windows.append(Window(source, (level.shape[-1], level.shape[-2])))
    detail = (blur(levels[0][:, :1], 1.0) - blur(levels[0][:, :1], 3.0)).abs()
    return Pyramid(tuple(levels), tuple(windows), blur(detail, 3.0)[:, 0] > TEXTURE)


def blur(planes: Tensor, sigma: float) -> Tensor:
    """Planes (n, c, h, w) under a Gaussian of ``sigma`` pixels; the edge goes on as it ends."""
    return torch.cat([_blur(some, sigma) for some in planes.split(AT_ONCE)]) if len(planes) else planes


def _blur(planes: Tensor, sigma: float) -> Tensor:
    reach = max(1, int(3 * sigma + 0.5))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    n, c = planes.shape[:2]
    flat = rearrange(planes, "n c h w -> (n c) 1 h w")
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None])
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None])
    return rearrange(flat, "(n c) 1 h w -> n c h w", n=n, c=c)
