"""Pictures that move in known ways: a camera over a textured world."""

from __future__ import annotations

import torch
import torch.nn.functional as F

WORLD = (144, 1024)
WINDOW = (72, 128)


def world(seed: int) -> torch.Tensor:
    """A texture (3, height, width), 0..1, coarse and fine."""
    draw = torch.Generator().manual_seed(seed)
    height, width = WORLD
    texture = torch.zeros(1, 3, height, width)
    for cells in (4, 8, 16, 32, 64):
        noise = torch.rand(1, 3, cells, cells * width // height, generator=draw)
        texture += F.interpolate(noise, (height, width), mode="bilinear") / cells**0.5
    low, high = texture.aminmax()
    return ((texture - low) / (high - low))[0]


def camera(texture: torch.Tensor, path: list[int]) -> torch.Tensor:
    """Frames (n, 72, 128, 3) of a camera at these columns, wrapping around."""
    height, width = WINDOW
    rows = texture[:, :height]
    return torch.stack([torch.roll(rows, -column, 2)[..., :width] for column in path]).movedim(1, -1)


def shot(seed: int, frames: int, speed: int = 1) -> torch.Tensor:
    return camera(world(seed), [speed * frame for frame in range(frames)])
