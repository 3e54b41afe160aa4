"""Clips of painted scenes."""

from __future__ import annotations

import numpy as np
import torch

from ...synthetic.scenes import make_scene
from ..config import Data, Synthetic
from .footage import draw_motion
from .times import draw_times
from .views import Painted, View


class PaintedSource:
    """Scenes of `synthetic`, one for each clip; ``seed`` is followed by the clip's number."""

    def __init__(self, seed: tuple[int, int], data: Data, settings: Synthetic):
        self.seed, self.data, self.settings = seed, data, settings

    def draw(self, rng: np.random.Generator, number: int) -> tuple[View, float]:
        """The clip's frames and then the global ones, and the clip's frames a second."""
        times, settings = draw_times(rng, self.data), self.settings
        scene = make_scene(
            (*self.seed, number),
            self.data.size,
            times.frames,
            draw_motion(rng, settings),
            kind=str(rng.choice(settings.kinds)),
            detail=rng.uniform(*settings.detail),
            sprites=int(rng.integers(settings.sprites + 1)),
        )
        pictures = (scene.render(times.all) * 255).round().to(torch.uint8)
        return Painted(pictures), self.data.fps / times.stride
