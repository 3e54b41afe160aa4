"""How a camera and the things it sees move: closed forms of time, so that any frame can be asked for by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 0.97
"""How sharply a path turns around at its ends; 1 would be a corner."""


@dataclass(frozen=True)
class Motion:
    """What kind of camera work to draw.

    ``speed``: how far the camera pans, as a share of the view's width per frame. ``travel``: the longest way from one
    turning point to the other, in widths of the view. ``zoom``: the largest change of scale either way (0.2: 0.8 to
    1.2). ``shake``: amplitude as a share of the view's width. ``vertical``: pan up and down instead of sideways (None:
    any direction).
    """

    speed: float
    travel: float
    zoom: float
    shake: float
    vertical: bool | None = None


@dataclass(frozen=True, eq=False)
class Camera:
    """A path in pixels of a view of scale 1; see `at`."""

    direction: tuple[float, float]
    speed: float
    span: float
    start: float
    zoom: float
    zoom_rate: float
    zoom_phase: float
    shake: float
    shake_waves: np.ndarray

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions (n, 2), scales (n,) and rolls (n,) in radians at times (n,) in frames."""
        times = np.asarray(times, dtype=np.float64)
        along = bounce(self.start + self.speed * times, self.span)
        rates, phases = self.shake_waves[..., 0], self.shake_waves[..., 1]
        jitter = np.sin(times[:, None, None] * rates + phases).mean(axis=-1) * self.shake
        positions = along[:, None] * np.asarray(self.direction) + jitter[:, :2]
        scales = np.exp(np.log1p(self.zoom) * np.sin(self.zoom_rate * times + self.zoom_phase))
        # A shake of one per cent of the view rolls by about half a degree.
        return positions, scales, jitter[:, 2] * 4e-3


def bounce(distance: np.ndarray, span: float) -> np.ndarray:
    """Run to and fro between ``-span / 2`` and ``span / 2`` at an even pace, turning around softly."""
    if span <= 0:
        return np.zeros_like(distance)
    angle = np.pi * distance / span - np.pi / 2
    return span / 2 * np.arcsin(ROUNDING * np.sin(angle)) / np.arcsin(ROUNDING)


def draw_camera(rng: np.random.Generator, motion: Motion, size: tuple[int, int], frames: int) -> Camera:
    """Draw a path for a view of ``size`` (width, height) and a video of ``frames`` frames."""
    width = size[0]
    speed = motion.speed * width
    # A short way needs no turning point; a long one turns around, so that places are left and come back.
    span = min(motion.travel * width, max(speed * frames * rng.uniform(0.7, 1.6), 1e-6)) if speed else 0.0
    if motion.vertical is None:
        angle = rng.uniform(0, 2 * np.pi)
    else:
        angle = rng.normal(0, 0.08) + (np.pi / 2 if motion.vertical else 0.0) + np.pi * rng.integers(2)
    rates = rng.uniform(0.15, 1.3, (3, 3))
    phases = rng.uniform(0, 2 * np.pi, (3, 3))
    return Camera(
        direction=(float(np.cos(angle)), float(np.sin(angle))),
        speed=speed,
        span=span,
        start=rng.uniform(0, 2 * span) if span else 0.0,
        zoom=motion.zoom * rng.uniform(0.3, 1.0),
        zoom_rate=2 * np.pi / (max(frames, 16) * rng.uniform(0.8, 2.5)),
        zoom_phase=rng.uniform(0, 2 * np.pi),
        shake=motion.shake * width,
        shake_waves=np.stack([rates, phases], axis=-1),
    )
