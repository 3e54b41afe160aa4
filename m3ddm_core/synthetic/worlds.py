"""Worlds to point a camera at: a few sheets behind one another, and sprites that come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import textures
from .camera import Camera, bounce
from .textures import Palette, Sheet

MARGIN = 3
"""Texels that a sheet reaches beyond what the camera ever sees of it."""

KINDS = ("wall", "pattern", "landscape", "city", "room")


@dataclass(frozen=True, eq=False)
class Layer:
    """A sheet and how it stands to the camera.

    ``depth`` is the share of the camera's motion and zoom that it follows: 0 at the horizon, 1 where the camera is
    focused, more in front of it. ``path``: where the sheet moves by itself, as a function of times (n,) to offsets
    (n, 2); None for what stands still.
    """

    sheet: Sheet
    depth: float
    path: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Frame:
    """What a world is made for: the view's size in pixels, its camera, and how many frames it has to last."""

    size: tuple[int, int]
    camera: Camera
    frames: int
    device: torch.device | str

    def sheet(self, depth: float) -> Sheet:
        """Return an empty sheet that covers whatever the camera sees of that depth."""
        positions, scales, rolls = self.camera.at(np.arange(self.frames))
        scales = layer_scales(scales, depth)
        half = np.array(self.size) / 2
        turned = np.abs(np.cos(rolls))[:, None] * half + np.abs(np.sin(rolls))[:, None] * half[::-1]
        reach = turned / scales[:, None] + MARGIN
        low = np.floor((positions * depth - reach).min(axis=0)).astype(int)
        high = np.ceil((positions * depth + reach).max(axis=0)).astype(int)
        width, height = high - low
        return Sheet(int(width), int(height), (float(low[0]), float(low[1])), self.device)


def layer_scales(scales: np.ndarray, depth: float) -> np.ndarray:
    """Return by how much a layer is enlarged: far ones hardly change when the camera zooms."""
    return 1 + (scales - 1) * depth


def make_world(
    rng: np.random.Generator, frame: Frame, kind: str, detail: float, sprites: int, palette: Palette
) -> list[Layer]:
    """Paint a world, farthest layer first; ``detail`` in 0..1 says how much there is in it."""
    layers = list(_PAINTERS[kind](rng, frame, palette, detail))
    return layers + [_sprite(rng, frame, palette) for _ in range(sprites)]


def _wall(rng: np.random.Generator, frame: Frame, palette: Palette, detail: float) -> Iterator[Layer]:
    sheet = frame.sheet(1.0)
    width = frame.size[0]
    cover(sheet, _ground(rng, sheet, palette, width, detail))
    _scatter(rng, sheet, palette, width, detail)
    yield Layer(sheet, 1.0)


def _pattern(rng: np.random.Generator, frame: Frame, palette: Palette, detail: float) -> Iterator[Layer]:
    sheet = frame.sheet(1.0)
    width = frame.size[0]
    x, y = sheet.grid()
    period, angle = width * rng.uniform(0.1, 0.4), rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    bands = (textures.stripes if rng.uniform() < 0.6 else textures.checker)(x, y, period, angle)
    ground = _ground(rng, sheet, palette, width, detail)
    cover(sheet, torch.lerp(ground, palette.colour().expand_as(ground), bands * rng.uniform(0.5, 1.0)))
    _scatter(rng, sheet, palette, width, detail / 2)
    yield Layer(sheet, 1.0)


def _landscape(rng: np.random.Generator, frame: Frame, palette: Palette, detail: float) -> Iterator[Layer]:
    width, height = frame.size
    yield _sky(rng, frame, palette)
    horizon = rng.uniform(-0.1, 0.15) * height
    for depth, drop in ((rng.uniform(0.3, 0.5), 0.0), (rng.uniform(0.6, 0.75), 0.12)):
        if rng.uniform() < 0.85:
            sheet = frame.sheet(depth)
            ridge = horizon + drop * height + _ridge(rng, sheet, width) * height * rng.uniform(0.05, 0.2)
            _fill_below(rng, sheet, palette, ridge, width, detail)
            yield Layer(sheet, depth)
    sheet = frame.sheet(1.0)
    ridge = horizon + 0.28 * height + _ridge(rng, sheet, width) * height * 0.04
    _fill_below(rng, sheet, palette, ridge, width, detail)
    _trees(rng, sheet, palette, ridge, width, detail)
    yield Layer(sheet, 1.0)


def _city(rng: np.random.Generator, frame: Frame, palette: Palette, detail: float) -> Iterator[Layer]:
    width, height = frame.size
    yield _sky(rng, frame, palette)
    for depth, base in ((rng.uniform(0.4, 0.6), -0.1), (1.0, 0.05)):
        sheet = frame.sheet(depth)
        x = sheet.origin[0]
        while x < sheet.origin[0] + sheet.size[0]:
            wide = width * rng.uniform(0.12, 0.35) * (0.6 if depth < 1 else 1)
            top = height * (base + rng.uniform(-0.3, 0.25))
            _house(rng, sheet, palette, (x, top), wide, detail)
            x += wide + width * rng.uniform(0, 0.15)
        yield Layer(sheet, depth)
    sheet = frame.sheet(1.0)
    x, y = sheet.grid()
    street = height * rng.uniform(0.3, 0.4)
    below = (y - street).clamp(0, 1).expand(sheet.texels.shape[1:])
    line = textures.rectangle(x * 0, y - street * 1.25, 1, height * 0.02)
    marks = textures.stripes(x, y * 0, width * 0.2, 0.0) * line
    colour = textures.blend(marks, palette.colour((0.2, 0.4)), palette.colour((0.7, 0.95)))
    sheet.paint(colour, below)
    yield Layer(sheet, 1.0)


def _room(rng: np.random.Generator, frame: Frame, palette: Palette, detail: float) -> Iterator[Layer]:
    width, height = frame.size
    sheet = frame.sheet(1.0)
    cover(sheet, _ground(rng, sheet, palette, 2 * width, 0.3 * detail))
    x, y = sheet.grid()
    paper = textures.stripes(x, y, width * rng.uniform(0.05, 0.15), 0.0, soft=2.0) * 0.15
    sheet.paint(palette.colour((0.5, 0.9)), paper.expand(sheet.texels.shape[1:]))
    left = sheet.origin[0]
    for _ in range(int(sheet.size[0] / width * (1 + 3 * detail)) + 1):
        centre = (left + rng.uniform() * sheet.size[0], rng.uniform(-0.35, 0.1) * height)
        _picture(rng, sheet, palette, centre, width * rng.uniform(0.06, 0.16), detail)
    floor = height * rng.uniform(0.2, 0.35)
    boards = textures.stripes(x + 0 * y, y, width * rng.uniform(0.08, 0.2), rng.choice([0.0, np.pi / 2]), soft=2.0)
    colour = textures.blend(boards, palette.colour((0.2, 0.5)), palette.colour((0.3, 0.6)))
    sheet.paint(colour, (y - floor).clamp(0, 1).expand(sheet.texels.shape[1:]))
    sheet.paint(palette.colour((0.05, 0.25)), textures.rectangle(x * 0, y - floor, 1, max(1.5, 0.012 * height)) + 0 * x)
    yield Layer(sheet, 1.0)
    if rng.uniform() < 0.7 * detail:
        depth = rng.uniform(1.2, 1.5)
        front = frame.sheet(depth)
        for _ in range(max(1, round(front.size[0] / width * rng.uniform(0.3, 1.0)))):
            place = front.origin[0] + rng.uniform() * front.size[0]
            across, down = front.grid()
            post = textures.rectangle(across - place, down * 0, width * rng.uniform(0.015, 0.04), 1) + 0 * down
            shade = (0.5 + (across - place) / (0.08 * width)).clamp(0, 1)
            front.paint(textures.blend(shade, palette.colour((0.1, 0.3)), palette.colour((0.4, 0.7))), post)
        yield Layer(front, depth)


_PAINTERS = dict(zip(KINDS, (_wall, _pattern, _landscape, _city, _room), strict=True))


def cover(sheet: Sheet, colour: Tensor) -> None:
    """Paint all of a sheet."""
    sheet.texels[:3], sheet.texels[3] = colour, 1.0


def _ground(rng: np.random.Generator, sheet: Sheet, palette: Palette, width: float, detail: float) -> Tensor:
    """Two fractal mixtures of three colours."""
    coarse = width * rng.uniform(0.15, 0.6)
    octaves = 2 + int(3 * detail * rng.uniform())
    first = textures.blend(textures.noise(rng, sheet, coarse, octaves), palette.colour(), palette.colour())
    share = textures.noise(rng, sheet, coarse * 1.7, 2)
    return torch.lerp(first, palette.colour().expand_as(first), share * rng.uniform(0.2, 0.8))


def _scatter(rng: np.random.Generator, sheet: Sheet, palette: Palette, width: float, detail: float) -> None:
    """Shapes all over a sheet, large ones first; their number follows its area."""
    views = sheet.size[0] * sheet.size[1] / width**2
    count = int(views * detail * rng.uniform(4, 16))
    radii = np.sort(width * 0.2 * rng.uniform(0.15, 1.0, count) ** 2)[::-1]
    for radius in radii:
        centre = np.array(sheet.origin) + rng.uniform(size=2) * sheet.size
        textures.draw_shape(rng, sheet, palette, (float(centre[0]), float(centre[1])), float(max(2.0, radius)))


def _sky(rng: np.random.Generator, frame: Frame, palette: Palette) -> Layer:
    depth = rng.uniform(0.05, 0.25)
    sheet = frame.sheet(depth)
    _, y = sheet.grid()
    share = (y / frame.size[1] + 0.5).clamp(0, 1).expand(sheet.texels.shape[1:])
    sky = textures.blend(share, palette.colour((0.3, 0.7)), palette.colour((0.6, 0.95)))
    clouds = textures.noise(rng, sheet, frame.size[0] * rng.uniform(0.2, 0.5), 4)
    clouds = (clouds * 3 - rng.uniform(1.2, 2.2)).clamp(0, 1)
    cover(sheet, torch.lerp(sky, palette.colour((0.85, 0.97)).expand_as(sky), clouds * 0.8))
    return Layer(sheet, depth)


def _ridge(rng: np.random.Generator, sheet: Sheet, width: float) -> Tensor:
    """A wavy line (1, w), about -1..1."""
    x, _ = sheet.grid()
    line = torch.zeros_like(x)
    for rate in (1.0, 2.3, 5.1):
        line += torch.sin(x * (2 * np.pi * rate * rng.uniform(0.7, 1.3) / (1.6 * width)) + rng.uniform(0, 6.28)) / rate
    return line


def _fill_below(
    rng: np.random.Generator, sheet: Sheet, palette: Palette, ridge: Tensor, width: float, detail: float
) -> None:
    _, y = sheet.grid()
    sheet.paint(_ground(rng, sheet, palette, width * 0.5, detail), (y - ridge).clamp(0, 1))


def _trees(
    rng: np.random.Generator, sheet: Sheet, palette: Palette, ridge: Tensor, width: float, detail: float
) -> None:
    trunk, crown = palette.colour((0.1, 0.3)), palette.colour((0.2, 0.6))
    for _ in range(int(sheet.size[0] / width * rng.uniform(1, 6) * detail)):
        column = int(rng.integers(sheet.size[0]))
        x, y = sheet.origin[0] + column, float(ridge[0, column])
        tall, radius = width * rng.uniform(0.08, 0.3), width * rng.uniform(0.04, 0.1)
        box = sheet.box((x, y - tall / 2), tall / 2 + 2)
        if box is not None:
            across, down = sheet.grid(box)
            sheet.paint(trunk, textures.rectangle(across - x, down - y + tall / 2, width * 0.012, tall / 2), box)
        box = sheet.box((x, y - tall), radius + 2)
        if box is not None:
            across, down = sheet.grid(box)
            shade = (0.5 + (across - x + down - y + tall) / (3 * radius)).clamp(0, 1)
            leaves = textures.star(across - x, down - y + tall, radius, int(rng.integers(5, 9)), 0.25)
            sheet.paint(textures.blend(shade, crown * 1.3, crown * 0.6).clamp(0, 1), leaves, box)


def _house(
    rng: np.random.Generator, sheet: Sheet, palette: Palette, corner: tuple[float, float], wide: float, detail: float
) -> None:
    left, top = corner[0] - sheet.origin[0], corner[1] - sheet.origin[1]
    x0, x1, y0 = max(0, int(left)), min(sheet.size[0], int(left + wide)), max(0, int(top))
    if x0 >= x1 or y0 >= sheet.size[1]:
        return
    box = (x0, y0, x1, sheet.size[1])
    x, y = sheet.grid(box)
    x, y = x - corner[0], y - corner[1]
    step = wide / max(1, int(rng.integers(2, 6)))
    panes = textures.stripes(x, y * 0, step, 0.0) * textures.stripes(x * 0, y, step * rng.uniform(0.8, 1.6), np.pi / 2)
    wall, pane = palette.colour((0.25, 0.7)), palette.colour((0.1, 0.9))
    shade = (0.85 + 0.3 * x / wide) if detail > 0.3 else torch.ones_like(x)
    sheet.paint((textures.blend(panes, wall, pane) * shade).clamp(0, 1), torch.ones_like(panes), box)


def _picture(
    rng: np.random.Generator,
    sheet: Sheet,
    palette: Palette,
    centre: tuple[float, float],
    radius: float,
    detail: float,
) -> None:
    """A framed picture on a wall, or a window."""
    box = sheet.box(centre, radius * 1.3)
    if box is None:
        return
    x, y = sheet.grid(box)
    x, y, flat = x - centre[0], y - centre[1], rng.uniform(0.6, 1.0)
    sheet.paint(
        palette.colour((0.05, 0.5)), textures.rectangle(x, y, radius * 1.15, radius * flat + radius * 0.15), box
    )
    share = (0.5 + (x * rng.normal() + y * rng.normal()) / (2 * radius)).clamp(0, 1)
    inside = textures.rectangle(x, y, radius, radius * flat)
    sheet.paint(textures.blend(share, palette.colour(), palette.colour()), inside, box)
    for _ in range(1 + int(3 * detail)):
        spot = (centre[0] + rng.uniform(-0.5, 0.5) * radius, centre[1] + rng.uniform(-0.5, 0.5) * radius * flat)
        textures.draw_shape(rng, sheet, palette, spot, radius * rng.uniform(0.15, 0.45))


def _sprite(rng: np.random.Generator, frame: Frame, palette: Palette) -> Layer:
    """A small thing of a few shapes that crosses the view, leaves it and comes back."""
    width, height = frame.size
    radius = width * rng.uniform(0.06, 0.16)
    sheet = Sheet(int(2 * radius) + 4, int(2 * radius) + 4, (-radius - 2, -radius - 2), frame.device)
    textures.draw_shape(rng, sheet, palette, (0.0, 0.0), radius)
    for _ in range(int(rng.integers(1, 4))):
        spot = rng.uniform(-0.5, 0.5, 2) * radius
        textures.draw_shape(rng, sheet, palette, (float(spot[0]), float(spot[1])), radius * rng.uniform(0.2, 0.5))
    # Its way is longer than the view is wide, and takes about as long as the video.
    span = width * rng.uniform(1.4, 2.2)
    pace = span / max(frame.frames, 16) * rng.uniform(0.6, 2.0) * rng.choice([-1, 1])
    start, level = rng.uniform(0, 2 * span), rng.uniform(-0.35, 0.35) * height
    sway, rate, phase = rng.uniform(0, 0.12) * height, rng.uniform(0.05, 0.25), rng.uniform(0, 6.28)
    depth = rng.uniform(0.9, 1.1)
    middle = frame.camera.at(np.arange(frame.frames))[0].mean(axis=0) * depth

    def path(times: np.ndarray) -> np.ndarray:
        across = bounce(start + pace * times, span)
        return middle + np.stack([across, level + sway * np.sin(rate * times + phase)], axis=-1)

    return Layer(sheet, depth, path)
