"""A video of many short scenes, each of which pans over a pattern of its own."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F

from m3ddm_core.video.source import TensorSource

SCENES, LENGTH = 20, 9
FIRSTS = [LENGTH * number for number in range(SCENES)]
SIZE = (32, 48)


def many_scenes(
    scenes: int = SCENES, length: int = LENGTH, size: tuple[int, int] = SIZE, rate: int = 25
) -> TensorSource:
    """Frames of (width, height), ``rate`` a second; a scene moves two pixels a frame to the right."""
    width, height = size
    draw = torch.Generator().manual_seed(0)
    shots = []
    for _ in range(scenes):
        colours = torch.rand(1, 3, 8, 12, generator=draw)
        wide = F.interpolate(colours, (height, width + 2 * length), mode="bilinear")[0]
        shots += [wide[:, :, 2 * step : 2 * step + width] for step in range(length)]
    return TensorSource(torch.stack(shots).movedim(1, -1).contiguous(), Fraction(rate))
