"""What a camera sees of a picture, of a film or of all that is around it: rendered on any device.

Every view is drawn at twice its size and halved, so that fine things seen from afar do not flicker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .excerpt import Excerpt

FINER = 2

Size = tuple[int, int]
"""Width and height in pixels."""


class View(Protocol):
    """Pictures that are still to be made."""

    def render(self, device: torch.device | str) -> Tensor:
        """(n, h, w, 3), uint8, on the device."""


@dataclass(frozen=True, eq=False)
class Painted:
    """Pictures (n, h, w, 3), uint8, that are there already."""

    pictures: Tensor

    def render(self, device: torch.device | str) -> Tensor:
        return self.pictures.to(device)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A cut-out (h, w, 4), uint8, straight alpha, in front of a view; ``affine`` (n, 2, 3) as in `Window`."""

    pixels: Tensor
    affine: Tensor

    def lay_over(self, picture: Tensor, points: Tensor) -> Tensor:
        """Lay it over pictures (n, 3, h, w) whose pixels lie at ``points`` (h, w, 3)."""
        pixels = rearrange(self.pixels.to(picture.device).float() / 255, "h w c -> 1 c h w")
        alpha = pixels[:, 3:]
        seen = _look(torch.cat([pixels[:, :3] * alpha, alpha], 1), _through(self.affine, points), "zeros")
        return picture * (1 - seen[:, 3:]) + seen[:, :3]


@dataclass(frozen=True, eq=False)
class Window:
    """A window of ``size`` that moves over frames (n, h, w, 3), or over one picture (1, h, w, 3), uint8, read or not.

    ``affine`` (n, 2, 3), float32: from pixels of the view (x, y, 1), counted from its middle, to pixels of the frame.
    """

    frames: Tensor | Excerpt
    affine: Tensor
    size: Size
    sprites: tuple[Sprite, ...] = ()

    def render(self, device: torch.device | str) -> Tensor:
        frames = rearrange(self.frames.to(device).float() / 255, "n h w c -> n c h w")
        points = _points(self.size, device)
        return _finish(_look(frames, _through(self.affine, points), "border"), self.sprites, points)


@dataclass(frozen=True, eq=False)
class Turning:
    """A camera that turns inside a panorama (h, 2 h, 3), uint8, read or not.

    ``rotations`` (n, 3, 3): from the camera's axes (right, down, ahead) to the panorama's; ``focals`` (n,): in pixels
    of the view.
    """

    panorama: Tensor | Excerpt
    rotations: Tensor
    focals: Tensor
    size: Size
    sprites: tuple[Sprite, ...] = ()

    def render(self, device: torch.device | str) -> Tensor:
        panorama = rearrange(self.panorama.to(device).float() / 255, "h w c -> 1 c h w")
        height, width = panorama.shape[2:]
        points = _points(self.size, device)
        rays = torch.cat(
            [
                points[None, ..., :2] / self.focals.to(device)[:, None, None, None],
                torch.ones_like(points[None, ..., :1]).expand(len(self.focals), -1, -1, -1),
            ],
            -1,
        )
        rays = torch.einsum("n i j, n h w j -> n h w i", self.rotations.to(device), rays)
        across, down, ahead = F.normalize(rays, dim=-1).unbind(-1)
        column = (torch.atan2(across, ahead) / (2 * math.pi) + 0.5) * width - 0.5
        row = (torch.asin(down.clamp(-1, 1)) / math.pi + 0.5) * height - 0.5
        # What lies left of the first column is the last one.
        around = F.pad(panorama, (1, 1, 0, 0), mode="circular")
        return _finish(_look(around, torch.stack([column + 1, row], -1), "border"), self.sprites, points)


def _points(size: Size, device: torch.device | str) -> Tensor:
    """The middles of a view's finer pixels, counted from its middle in pixels: (h, w, 3), x, y and 1."""
    x, y = (((torch.arange(side * FINER, device=device) + 0.5) / FINER - side / 2) for side in size)
    return torch.stack([*torch.meshgrid(x, y, indexing="xy"), torch.ones(len(y), len(x), device=device)], -1)


def _through(affine: Tensor, points: Tensor) -> Tensor:
    return torch.einsum("n i j, h w j -> n h w i", affine.to(points.device), points)


def _look(frames: Tensor, places: Tensor, beyond: str) -> Tensor:
    """Sample frames (n or 1, c, h, w) at places (n, h, w, 2) in their pixels: (n, c, h, w)."""
    height, width = frames.shape[2:]
    n, h = places.shape[:2]
    grid = (places + 0.5) * (2 / torch.tensor([width, height], device=places.device)) - 1
    if len(frames) == n:
        return F.grid_sample(frames, grid, padding_mode=beyond, align_corners=False)
    # All look at one picture: as one tall view they do so in one call.
    grid = rearrange(grid, "n h w xy -> 1 (n h) w xy")
    seen = F.grid_sample(frames, grid, padding_mode=beyond, align_corners=False)
    return rearrange(seen, "1 c (n h) w -> n c h w", n=n, h=h)


def _finish(picture: Tensor, sprites: tuple[Sprite, ...], points: Tensor) -> Tensor:
    """Put the sprites in front, halve, and round: (n, h, w, 3), uint8."""
    for sprite in sprites:
        picture = sprite.lay_over(picture, points)
    picture = F.avg_pool2d(picture, FINER)
    return rearrange((picture * 255).round().clamp(0, 255).to(torch.uint8), "n c h w -> n h w c").contiguous()
