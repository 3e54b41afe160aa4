"""A few clips outpainted in the middle of training, the same ones each time, as inference does it."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from ..canvas.fill import fill_border
from ..sampling.clip import ClipConditions, Network
from ..sampling.pndm import reference_sampler
from ..sampling.prediction import noise_network
from ..vae import VAE
from .config import Config
from .latents import encode_clips
from .report import side_by_side
from .samples import Clip, ClipSource

NUMBERS = range(2**40, 2**40 + 100)
"""Clips of the run's own source that no step reaches."""

STEPS = 20
CONTEXT_SCALE, GLOBAL_SCALE = 2.0, 4.0


class Preview:
    """Clips to outpaint, with everything about them that does not change."""

    def __init__(self, config: Config, source: ClipSource, vae: VAE, device: torch.device | str, clips: int = 2):
        self.config, self.vae, self.device = config, vae, device
        # A mask that hides everything, or next to nothing, is hard to judge by eye.
        hidden = (clip for number in NUMBERS if (clip := source[number]).border.kind in ("one", "opposite"))
        self.clips = [clip for _, clip in zip(range(clips), hidden, strict=False)]

    @torch.no_grad()
    def outpaint(self, network: Network) -> list[tuple[Tensor, float]]:
        """Return for each clip a film, (f, h, 3 w, 3) with frames a second: the truth, what is given, the result."""
        return [(self._one(clip, network), float(max(1, clip.fps))) for clip in self.clips]

    def _one(self, clip: Clip, network: Network) -> Tensor:
        (latent,) = encode_clips([clip], self.vae.encode, self.config.data, self.device)
        truth = clip.frames.float() / 255
        mask = torch.from_numpy(clip.border.mask(clip.frames.shape[2], clip.frames.shape[1]))
        start = self.vae.encode(fill_border(truth, mask[None]).to(self.device))
        hidden = latent.mask.expand(len(start), -1, -1, -1)
        blank = latent.blank.expand(len(start), -1, -1, -1)
        context, no_context = (
            rearrange(torch.cat(parts, dim=1), "f c h w -> 1 c f h w")
            for parts in ((latent.masked, hidden), (blank, torch.ones_like(hidden)))
        )
        conditions = ClipConditions(context, no_context, latent.global_latents, clip.fps)
        sample = reference_sampler(
            noise_network(network, self.config.objective.prediction),
            steps=STEPS,
            context_scale=CONTEXT_SCALE,
            global_scale=GLOBAL_SCALE,
        )
        start = rearrange(start, "f c h w -> 1 c f h w")
        noise = torch.randn(start.shape, generator=torch.Generator("cpu").manual_seed(0)).to(start)
        result = sample(conditions, start, noise, lambda step, steps, denoised: None)
        frames = self.vae.decode(rearrange(result, "1 c f h w -> f c h w")).cpu()
        given = truth * (1 - mask)[..., None]
        return side_by_side(truth, given, torch.where(mask[None, ..., None] > 0, frames, given))
