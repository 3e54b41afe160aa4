"""Camera work over flat pictures and inside panoramas, and things that cross the view: as matrices for each frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...material.store import Store
from ...synthetic.camera import Motion, bounce, draw_camera
from .views import Size, Sprite

SPRITE_SIZE = (0.15, 0.5)
"""Longer side of a cut-out, as a share of the view's width."""
CALMER = 0.4
"""A camera inside a panorama looks up and down by so much less than it turns."""
PITCH = np.radians(40)
"""As far up and down as a camera inside a panorama looks: beyond, its ground and sky are smeared."""


def window_path(
    rng: np.random.Generator, motion: Motion, size: Size, picture: Size, scale: float, times: np.ndarray
) -> Tensor:
    """A camera's way over a picture, nowhere beyond its edge: affine maps (n, 2, 3) for `Window`.

    ``size``: of the view; ``picture``: width and height of what it moves over; ``scale``: pixels of the picture to one
    of the view, as far as there is room. The way is shortened to what room there is.
    """
    camera = draw_camera(rng, motion, size, int(times.max()) + 1)
    positions, zooms, rolls = camera.at(times)
    # How far a turned and zoomed window reaches from its middle.
    cos, sin = np.cos(rolls), np.sin(rolls)
    half = np.array(size) / 2
    reach = np.stack([np.abs(cos) * half[0] + np.abs(sin) * half[1], np.abs(sin) * half[0] + np.abs(cos) * half[1]], -1)
    reach = reach / zooms[:, None]
    scale = min(scale, float((np.array(picture) / 2 / reach.max(0)).min()))
    room = np.maximum(np.array(picture) / 2 - scale * reach, 0)
    low, high = positions.min(0), positions.max(0)
    span = np.maximum(high - low, 1e-6) * scale
    shrink = np.minimum(1, 2 * room.min(0) / span)
    ways = (positions - (low + high) / 2) * scale * shrink
    free = np.maximum(2 * room.min(0) - span * shrink, 0)
    middles = np.array(picture) / 2 + ways + free * (rng.uniform(size=2) - 0.5)
    return _affine(scale / zooms, rolls, middles - 0.5)


def turning_path(
    rng: np.random.Generator, motion: Motion, size: Size, field: float, times: np.ndarray
) -> tuple[Tensor, Tensor]:
    """A camera's way inside a panorama: rotations (n, 3, 3) and focal lengths (n,) for `Turning`.

    ``field``: of view across, in radians.
    """
    camera = draw_camera(rng, motion, size, int(times.max()) + 1)
    positions, zooms, rolls = camera.at(times)
    focal = size[0] / 2 / np.tan(field / 2)
    yaws = rng.uniform(0, 2 * np.pi) + positions[:, 0] / focal
    pitches = np.clip(rng.normal(0, np.radians(10)) + CALMER * positions[:, 1] / focal, -PITCH, PITCH)
    rolls = rolls + rng.normal(0, np.radians(2))
    rotations = _about(1, yaws) @ _about(0, -pitches) @ _about(2, rolls)
    return _tensor(rotations), _tensor(focal * zooms)


def crossing_sprites(
    rng: np.random.Generator, cut_outs: Store | None, most: int, size: Size, times: np.ndarray
) -> tuple[Sprite, ...]:
    """Draw up to ``most`` cut-outs that cross the view, leave it and come back."""
    if cut_outs is None:
        return ()
    return tuple(_sprite(rng, cut_outs, size, times) for _ in range(rng.integers(most + 1)))


def _sprite(rng: np.random.Generator, cut_outs: Store, size: Size, times: np.ndarray) -> Sprite:
    piece = cut_outs.pieces[rng.integers(len(cut_outs.pieces))]
    pixels = cut_outs.pixels(piece)[0]
    height, width = pixels.shape[:2]
    # Pixels of the view to one of the cut-out; a little larger or smaller as it comes nearer or goes.
    grow = size[0] * rng.uniform(*SPRITE_SIZE) / max(width, height)
    grow = grow * np.exp(rng.uniform(-0.3, 0.3) * times / max(times.max(), 1))
    frames = max(int(times.max()), 16)
    span = size[0] * rng.uniform(1.2, 2.0)
    pace = span / frames * rng.uniform(0.3, 1.5) * rng.choice([-1, 1])
    across = bounce(rng.uniform(0, 2 * span) + pace * times, span)
    sway = rng.uniform(0, 0.1) * np.sin(rng.uniform(0.05, 0.3) * times + rng.uniform(0, 6.28))
    places = np.stack([across, size[1] * (rng.uniform(-0.4, 0.4) + sway)], -1)
    turns = rng.normal(0, 0.1) + rng.normal(0, 0.3) * times / frames
    flip = rng.choice([-1.0, 1.0])
    # From the view to the cut-out: the other way round than it is placed.
    affine = _affine(1 / grow, -turns, np.zeros_like(places))
    affine[:, :, 2] = -torch.einsum("n i j, n j -> n i", affine[:, :, :2], _tensor(places))
    affine[:, 0] *= flip
    affine[:, :, 2] += torch.tensor([width - 1, height - 1]) / 2
    return Sprite(torch.from_numpy(pixels.copy()), affine)


def _affine(scales: np.ndarray, rolls: np.ndarray, middles: np.ndarray) -> Tensor:
    """(n, 2, 3): turned by ``rolls``, ``scales`` times as large, the view's middle at ``middles``."""
    cos, sin = np.cos(rolls) * scales, np.sin(rolls) * scales
    return _tensor(np.stack([np.stack([cos, -sin, middles[:, 0]], -1), np.stack([sin, cos, middles[:, 1]], -1)], -2))


def _about(axis: int, angles: np.ndarray) -> np.ndarray:
    """Rotations (n, 3, 3) about an axis, each of the next two turned into the one after it."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((len(angles), 3, 3))
    matrix[:, axis, axis] = 1
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angles)
    matrix[:, first, second], matrix[:, second, first] = -np.sin(angles), np.sin(angles)
    return matrix


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()
