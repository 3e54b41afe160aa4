"""Clips out of a store: of films, of photographs that a camera moves over, of panoramas that it turns in."""

from __future__ import annotations

import numpy as np

from ...material.store import Piece, Store
from ...synthetic.camera import Motion
from ..config import Data, Synthetic
from .excerpt import Excerpt
from .moves import crossing_sprites, turning_path, window_path
from .times import draw_times, draw_times_within
from .views import Turning, View, Window

FILM_SCALES = (0.9, 1.5)
"""Pixels of a kept frame to one of the view: from its own pixels to nearly all of it."""
PHOTO_SCALES = (0.9, 2.8)
WIDEST_FIELD = 100
"""Degrees across."""
BLUNTEST = 0.8
"""A panorama is looked at no more closely than with so many of its pixels to one of the view."""


def draw_motion(rng: np.random.Generator, settings: Synthetic) -> Motion:
    """Draw what the camera does, within the range that the configuration gives for painted scenes too."""
    return Motion(rng.uniform(*settings.speed), settings.travel, settings.zoom, settings.shake)


class FilmSource:
    """Shots of films, seen whole or through a window; in half of the clips the window moves."""

    def __init__(self, store: Store, data: Data, settings: Synthetic):
        self.store, self.data, self.settings = store, data, settings
        # A shot of one clip's length is there once, a long one many times.
        lengths = np.array([float(piece.shape[0]) for piece in store.pieces])
        self.shares = lengths / lengths.sum()

    def draw(self, rng: np.random.Generator, number: int) -> tuple[View, float]:
        """A view of the clip's frames and then the global ones, and the clip's frames a second."""
        piece = self.store.pieces[rng.choice(len(self.shares), p=self.shares)]
        times = draw_times_within(rng, self.data, piece.shape[0])
        moves = rng.uniform() < 0.5
        motion = draw_motion(rng, self.settings) if moves else Motion(0.0, 0.0, 0.0, 0.0)
        # The camera's path is counted from where the clip's video begins.
        since = times.all - times.all.min()
        affine = window_path(rng, motion, self.data.size, _size(piece), rng.uniform(*FILM_SCALES), since)
        frames = Excerpt(self.store, piece, times.all, rng.uniform() < 0.5)
        return Window(frames, affine, self.data.size), piece.fps / times.stride


class PhotoSource:
    """Photographs that the camera pans over and zooms into, things crossing in front."""

    def __init__(self, store: Store, cut_outs: Store | None, data: Data, settings: Synthetic):
        self.store, self.cut_outs, self.data, self.settings = store, cut_outs, data, settings

    def draw(self, rng: np.random.Generator, number: int) -> tuple[View, float]:
        """As `draw`."""
        piece = self.store.pieces[rng.integers(len(self.store.pieces))]
        times = draw_times(rng, self.data)
        scale = float(np.exp(rng.uniform(*np.log(PHOTO_SCALES))))
        affine = window_path(rng, draw_motion(rng, self.settings), self.data.size, _size(piece), scale, times.all)
        sprites = crossing_sprites(rng, self.cut_outs, self.settings.sprites, self.data.size, times.all)
        picture = Excerpt(self.store, piece, np.zeros(1, int), rng.uniform() < 0.5)
        return Window(picture, affine, self.data.size, sprites), self.data.fps / times.stride


class PanoramaSource:
    """Panoramas that the camera turns, zooms and shakes in, things crossing in front: its border is known exactly."""

    def __init__(self, store: Store, cut_outs: Store | None, data: Data, settings: Synthetic):
        self.store, self.cut_outs, self.data, self.settings = store, cut_outs, data, settings

    def draw(self, rng: np.random.Generator, number: int) -> tuple[View, float]:
        """As `draw`."""
        piece = self.store.pieces[rng.integers(len(self.store.pieces))]
        times = draw_times(rng, self.data)
        narrowest = min(WIDEST_FIELD, 360 * BLUNTEST * self.data.size[0] / piece.shape[2])
        field = np.radians(rng.uniform(narrowest, WIDEST_FIELD))
        rotations, focals = turning_path(rng, draw_motion(rng, self.settings), self.data.size, field, times.all)
        sprites = crossing_sprites(rng, self.cut_outs, self.settings.sprites, self.data.size, times.all)
        panorama = Excerpt(self.store, piece, 0, rng.uniform() < 0.5)
        return Turning(panorama, rotations, focals, self.data.size, sprites), self.data.fps / times.stride


def _size(piece: Piece) -> tuple[int, int]:
    return piece.shape[2], piece.shape[1]
