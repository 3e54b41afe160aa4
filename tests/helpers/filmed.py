"""Films of which everything is known: a camera pans, zooms and turns over a painted world."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from m3ddm_core.canvas.placement import Placement, place

TARGET = (96, 64)
"""Width and height of what is around the source."""
SIDE = 16
"""Pixels of the border, left and right."""


@dataclass(frozen=True)
class Film:
    """``whole`` (n, 64, 96, 3): what the camera would have filmed with a wider lens; ``source``: what it did."""

    whole: Tensor

    @property
    def source(self) -> Tensor:
        return self.whole[:, :, SIDE:-SIDE].contiguous()

    @property
    def placement(self) -> Placement:
        width, height = TARGET
        return place((width - 2 * SIDE, height), pixels=(SIDE, 0, SIDE, 0), canvas_size=width, canvas_shape="target")


def painted(seed: int, width: int = 480, height: int = 240) -> Tensor:
    """A world (3, height, width), 0..1, with shapes of all sizes but none finer than three pixels."""
    draw = torch.Generator().manual_seed(seed)
    world = torch.zeros(1, 3, height, width)
    for cells in (4, 8, 16, 32, 80):
        noise = torch.rand(1, 3, cells * height // width + 2, cells, generator=draw)
        world += F.interpolate(noise, (height, width), mode="bicubic") / cells**0.4
    low, high = world.aminmax()
    return ((world - low) / (high - low))[0]


def filmed(world: Tensor, views: list[tuple[float, float, float, float]]) -> Film:
    """Film a world (3, h, w) from ``views``: x and y of the middle in pixels, pixels of the world a pixel, and roll."""
    width, height = TARGET
    row, column = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
    )
    whole, (high, wide) = [], world.shape[1:]
    for x, y, scale, roll in views:
        cos, sin = scale * math.cos(roll), scale * math.sin(roll)
        at = torch.stack([x + cos * column - sin * row, y + sin * column + cos * row], dim=-1)
        grid = (at + 0.5) * 2 / torch.tensor([wide, high]) - 1
        whole.append(F.grid_sample(world[None], grid[None], mode="bicubic", align_corners=False)[0].movedim(0, -1))
    return Film(torch.stack(whole).clamp(0, 1))


def pan(speed: float, frames: int = 24, seed: int = 0) -> Film:
    """So many pixels a frame to the right, and a little down."""
    return filmed(painted(seed), [(120 + speed * t, 120 + 0.1 * t, 1.0, 0.0) for t in range(frames)])


def turning(step: float, bend: float, frames: int = 24, seed: int = 0) -> Film:
    """Turn by ``step`` degrees a frame to the right, nodding a little, with a lens of this ``bend`` for the source."""
    width, height = TARGET
    halves = (torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2)
    row, column = torch.meshgrid(*(half / ((width - 2 * SIDE) / 2) for half in halves), indexing="ij")
    rays = torch.stack([column * bend**0.5, row * bend**0.5, torch.ones_like(row)], dim=-1)
    whole, world = [], painted(seed, 960, 480)
    for number in range(frames):
        yaw, pitch = math.radians(step * (number - frames / 2)), math.radians(2 * math.sin(number / 7))
        up = torch.tensor([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
        side = torch.tensor([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
        across, down, ahead = F.normalize(rays @ (side @ up).mT, dim=-1).unbind(-1)
        # The world is wrapped around the camera: 180 degrees from side to side, 90 from top to bottom.
        grid = torch.stack([torch.atan2(across, ahead) / (math.pi / 2), torch.asin(down) / (math.pi / 4)], dim=-1)
        whole.append(F.grid_sample(world[None], grid[None], mode="bicubic", align_corners=False)[0].movedim(0, -1))
    return Film(torch.stack(whole).clamp(0, 1))
