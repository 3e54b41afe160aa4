"""A few clips outpainted in the middle of training, the same ones each time, as inference does it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..canvas.placement import place
from ..models import Models, load_models
from ..pipeline import outpaint_frames
from ..sampling.clip import Network
from ..sampling.placed import PlacedNetwork
from ..sampling.prediction import noise_network
from ..sampling.settings import SamplingSettings
from ..vae import VAE
from .config import Config
from .report import side_by_side
from .samples import Clip, ClipSource

NUMBERS = range(2**40, 2**40 + 100)
"""Clips of the run's own source that no step reaches."""

STEPS = 20


class Preview:
    """Clips to outpaint, with everything about them that does not change."""

    def __init__(self, config: Config, source: ClipSource, vae: VAE, device: torch.device | str, clips: int = 2):
        self.config, self.vae, self.device = config, vae, device
        # A mask that hides everything, or next to nothing, is hard to judge by eye.
        hidden = (take for number in NUMBERS if (take := source[number]).border.kind in ("one", "opposite"))
        self.clips = [take.shoot() for _, take in zip(range(clips), hidden, strict=False)]

    def outpaint(self, network: Network) -> list[tuple[Tensor, float]]:
        """Return for each clip a film, (f, h, 3 w, 3) with frames a second: the truth, what is given, the result."""
        models = load_models(
            noise_network(PlacedNetwork(network, self.device), self.config.objective.prediction), self.vae
        )
        return [(self._one(clip, models), float(max(1, clip.fps))) for clip in self.clips]

    def _one(self, clip: Clip, models: Models) -> Tensor:
        truth = clip.frames.float() / 255
        height, width = truth.shape[1:3]
        x, y, wide, high = clip.border.window(width, height)
        sides = (x, y, width - x - wide, height - y - high)
        placement = place(
            (wide, high),
            pixels=sides,
            canvas_size=max(width, height),
            canvas_shape="target",
            size_multiple=1,
        )
        shown = truth[:, y : y + high, x : x + wide]
        given = F.pad(shown, (0, 0, sides[0], sides[2], sides[1], sides[3]))
        made = outpaint_frames(
            shown,
            models,
            placement,
            clip.fps,
            settings=SamplingSettings(steps=STEPS),
            global_frames=max(1, self.config.data.global_count),
            blending={"feather": 0},
        )
        return side_by_side(truth, given, made)
