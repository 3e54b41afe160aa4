"""What latents look like: their colours by a line, for a look at work before it is decoded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..canvas.placement import LATENT_SCALE

FLAT = (2 / 255) ** 2
"""Variance of colours that say too little of what latents look like."""

RIDGE = 1e-3
"""Variance added to that of the latents, over their mean variance: what hardly changes in them counts little."""


class LatentRgbFit:
    """Least squares of colours on latents, over frames of which both are known, and which come in parts.

    Every autoencoder has its own such line; that of one video's frames holds for what is generated around them.
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None

    def add(self, frames: Tensor, latents: Tensor) -> None:
        """Take in frames (k, 8h, 8w, 3), 0..1, and their latents (k, c, h, w)."""
        small = F.avg_pool2d(rearrange(frames.float(), "k h w c -> k c h w"), LATENT_SCALE).to(latents.device)
        rows = rearrange(torch.cat([latents, torch.ones_like(small[:, :1]), small], dim=1), "k c h w -> (k h w) c")
        sums = (rows.double().T @ rows.double()).cpu()
        self._sums = sums if self._sums is None else self._sums + sums

    def latent_rgb(self) -> Tensor | None:
        """Return (c + 1, 3), float32: latents with a 1 appended, times this, are colours, 0..1.

        ComfyUI calls the same of the published VAEs `latent_rgb_factors`, and the last row `latent_rgb_factors_bias`.

        None where the frames were flat or there were none, and where latents do not change or are not finite: those of
        a broken VAE, which sampling reports.
        """
        if self._sums is None:
            return None
        one = len(self._sums) - 4
        means = self._sums[one] / self._sums[one, one]
        covariance = self._sums / self._sums[one, one] - means.outer(means)
        among, shared = covariance[:one, :one], covariance[:one, -3:]
        spread = among.diagonal().mean()
        if covariance.diagonal()[-3:].mean() < FLAT or not (covariance.isfinite().all() and spread > 0):
            return None
        ridge = RIDGE * spread * torch.eye(one, dtype=among.dtype)
        slopes = torch.linalg.solve(among + ridge, shared)
        return torch.cat([slopes, means[None, -3:] - means[None, :one] @ slopes]).float()
