"""The linear stand-in for the VAE with which the golden latents were made (see README.md beside this file)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange

MIX = ((0.6, 0.3, -0.2), (-0.4, 0.7, 0.2), (0.3, -0.2, 0.8), (0.2, 0.5, -0.5))


def encode(frames: torch.Tensor) -> torch.Tensor:
    """Frames (n, h, w, 3), 0..1, to latents (n, 4, h / 8, w / 8) in model space."""
    pixels = rearrange(frames.float() * 2 - 1, "n h w c -> n c h w")
    return 2 * torch.einsum("l c, n c h w -> n l h w", torch.tensor(MIX).to(pixels), F.avg_pool2d(pixels, 8))
