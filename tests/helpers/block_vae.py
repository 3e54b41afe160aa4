"""A VAE that needs no weights: latents are colours."""

from __future__ import annotations

import torch


class BlockVAE:
    """Latents are the mean colours of 8x8 blocks, and a fourth channel of zeros."""

    @staticmethod
    def encode(frames):
        means = torch.nn.functional.avg_pool2d(frames.permute(0, 3, 1, 2), 8)
        return torch.cat([means, torch.zeros_like(means[:, :1])], dim=1)

    @staticmethod
    def decode(latents):
        return latents[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2).permute(0, 2, 3, 1)
