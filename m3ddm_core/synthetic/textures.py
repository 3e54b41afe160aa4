"""What synthetic worlds are painted with: noise, stripes, gradients and shapes with soft edges.

A `Sheet` is a transparent sheet of colour; every painter works on the part of it that it covers. Numbers come
from NumPy's generator, so that a seed gives the same world on any device.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]


class Sheet:
    """Premultiplied colour and opacity, (4, h, w) float32, 0..1.

    ``origin`` (x, y) is where its top-left texel lies in the coordinates that painters are given.
    """

    def __init__(self, width: int, height: int, origin: tuple[float, float], device: torch.device | str = "cpu"):
        self.texels = torch.zeros(4, height, width, device=device)
        self.origin = origin

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in texels."""
        return self.texels.shape[2], self.texels.shape[1]

    def box(self, centre: tuple[float, float], reach: float) -> Box | None:
        """Return the texels (x0, y0, x1, y1) within ``reach`` of a point, None where the sheet does not go there."""
        x, y = centre[0] - self.origin[0], centre[1] - self.origin[1]
        width, height = self.size
        x0, y0 = max(0, int(x - reach)), max(0, int(y - reach))
        x1, y1 = min(width, int(x + reach) + 2), min(height, int(y + reach) + 2)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def grid(self, box: Box | None = None) -> tuple[Tensor, Tensor]:
        """Return the coordinates (1, w) and (h, 1) of the texels of a box, or of all."""
        x0, y0, x1, y1 = box or (0, 0, *self.size)
        device = self.texels.device
        x = torch.arange(x0, x1, device=device, dtype=torch.float32) + self.origin[0]
        y = torch.arange(y0, y1, device=device, dtype=torch.float32) + self.origin[1]
        return x[None, :], y[:, None]

    def paint(self, colour: Tensor, opacity: Tensor, box: Box | None = None) -> None:
        """Lay colour (3, h, w) or (3, 1, 1) over the sheet, or over a box of it, at an opacity (h, w) in 0..1."""
        x0, y0, x1, y1 = box or (0, 0, *self.size)
        below = self.texels[:, y0:y1, x0:x1]
        below[:3] = torch.lerp(below[:3], colour.expand_as(below[:3]) * 1.0, opacity)
        below[3] += (1 - below[3]) * opacity


class Palette:
    """Colours that go together: near one hue and its complement, of varied lightness."""

    def __init__(self, rng: np.random.Generator, device: torch.device | str):
        self.rng, self.device = rng, device
        self.hue = rng.uniform()
        self.spread = rng.choice([0.04, 0.1, 0.5])
        self.saturation = rng.uniform(0.15, 0.8)

    def colour(self, light: tuple[float, float] = (0.15, 0.9)) -> Tensor:
        """Draw a colour (3, 1, 1) whose lightness lies in a range."""
        rng = self.rng
        hue = (self.hue + rng.normal(0, self.spread) + 0.5 * (rng.uniform() < 0.2)) % 1.0
        red_green_blue = colorsys.hls_to_rgb(hue, rng.uniform(*light), self.saturation * rng.uniform(0.5, 1.0))
        return torch.tensor(red_green_blue, dtype=torch.float32, device=self.device).view(3, 1, 1)


def noise(rng: np.random.Generator, sheet: Sheet, coarse: float, octaves: int, gain: float = 0.5) -> Tensor:
    """Fractal noise (h, w), about 0..1: ``coarse`` texels between the control points of the coarsest octave."""
    width, height = sheet.size
    total = torch.full((height, width), 0.5, device=sheet.texels.device)
    strength = 0.4
    for _ in range(octaves):
        points = rng.standard_normal((int(height / coarse) + 3, int(width / coarse) + 3), dtype=np.float32)
        field = torch.from_numpy(points).to(total.device)[None, None]
        # Finer octaves are cheap as straight lines between points: the eye follows the coarse ones.
        mode = "bicubic" if coarse >= 16 else "bilinear"
        total += strength * F.interpolate(field, (height, width), mode=mode, align_corners=True)[0, 0]
        coarse, strength = max(coarse / 2, 1.5), strength * gain
    return total.clamp_(0, 1)


def blend(share: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Mix two colours (3, 1, 1) by a share (h, w)."""
    return first + (second - first) * share


def stripes(x: Tensor, y: Tensor, period: float, angle: float, soft: float = 1.0) -> Tensor:
    """Bands (h, w) of 0 and 1, ``period`` texels apart, with edges about ``soft`` texels wide."""
    phase = (x * np.cos(angle) + y * np.sin(angle)) / period
    distance = ((phase - phase.floor() - 0.5).abs() - 0.25) * period
    return (distance / soft + 0.5).clamp_(0, 1)


def checker(x: Tensor, y: Tensor, period: float, angle: float) -> Tensor:
    """A chessboard (h, w) of 0 and 1."""
    first, second = stripes(x, y, period, angle), stripes(x, y, period, angle + np.pi / 2)
    return first + second - 2 * first * second


def disc(x: Tensor, y: Tensor, radius: float) -> Tensor:
    """Coverage (h, w) of a disc around the origin."""
    return (radius - (x * x + y * y).sqrt() + 0.5).clamp_(0, 1)


def rectangle(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    """Coverage (h, w) of an upright rectangle around the origin."""
    return (half_width - x.abs() + 0.5).clamp(0, 1) * (half_height - y.abs() + 0.5).clamp(0, 1)


def star(x: Tensor, y: Tensor, radius: float, points: int, depth: float) -> Tensor:
    """Coverage (h, w) of a soft star or flower with so many points."""
    angle = torch.atan2(y.expand(y.shape[0], x.shape[1]), x.expand(y.shape[0], x.shape[1]))
    edge = radius * (1 - depth * (0.5 - 0.5 * torch.cos(points * angle)))
    return (edge - (x * x + y * y).sqrt() + 0.5).clamp_(0, 1)


def polygon(x: Tensor, y: Tensor, radius: float, corners: int, turn: float) -> Tensor:
    """Coverage (h, w) of a regular polygon around the origin."""
    inside = torch.full((y.shape[0], x.shape[1]), radius, device=x.device)
    for corner in range(corners):
        angle = turn + 2 * np.pi * corner / corners
        inside = torch.minimum(inside, radius * np.cos(np.pi / corners) - (x * np.cos(angle) + y * np.sin(angle)))
    return (inside + 0.5).clamp_(0, 1)


def shape(rng: np.random.Generator, radius: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Draw a shape of about ``radius`` texels: a function from coordinates around its centre to its coverage."""
    kind = rng.integers(5)
    flat, turn = rng.uniform(0.35, 1.0), rng.uniform(0, 2 * np.pi)
    corners, depth = int(rng.integers(3, 8)), rng.uniform(0.15, 0.5)
    if kind == 0:
        return lambda x, y: disc(x, y, radius)
    if kind == 1:
        return lambda x, y: rectangle(x, y, radius * flat, radius * 0.8)
    if kind == 2:
        return lambda x, y: polygon(x, y, radius, corners, turn)
    if kind == 3:
        return lambda x, y: star(x, y, radius, corners, depth)
    hole = radius * rng.uniform(0.4, 0.75)
    return lambda x, y: disc(x, y, radius) - disc(x, y, hole)


def draw_shape(
    rng: np.random.Generator, sheet: Sheet, palette: Palette, centre: tuple[float, float], radius: float
) -> None:
    """Paint one shape, plain, shaded, striped or chequered, around a point."""
    covers, kind, angle = shape(rng, radius), rng.integers(4), rng.uniform(0, np.pi)
    first, second = palette.colour(), palette.colour()
    period = max(4.0, radius * rng.uniform(0.25, 0.8))
    box = sheet.box(centre, radius + 1)
    if box is None:
        return
    x, y = sheet.grid(box)
    x, y = x - centre[0], y - centre[1]
    if kind == 0:
        colour = first
    elif kind == 1:
        share = (0.5 + (x * np.cos(angle) + y * np.sin(angle)) / (2 * radius)).clamp(0, 1)
        colour = blend(share, first, second)
    elif kind == 2:
        colour = blend(stripes(x, y, period, angle), first, second)
    else:
        colour = blend(checker(x, y, period, angle), first, second)
    sheet.paint(colour, covers(x, y), box)
