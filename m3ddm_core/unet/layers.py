"""Embeddings, pseudo-3D convolution, residual block and resamplers.

Axes: ``b`` clips, ``c`` channels, ``f`` frames, ``h w`` latent pixels. Every weight lives in a layer taken from the
``operations`` given (``torch.nn``, or a host's classes that cast and offload), and is used through that layer only.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def sinusoidal_embedding(positions: Tensor, dim: int, max_period: float) -> Tensor:
    """Embed numbers as cosines, then sines, of geometrically spaced frequencies (Vaswani et al., 2017).

    ``positions`` (n,), any real dtype; returns (n, dim) float32. M3DDM spaces its frequencies over much shorter
    periods than the usual 10000.
    """
    frequencies = torch.exp(
        -math.log(max_period) * torch.arange(dim // 2, dtype=torch.float32, device=positions.device) / (dim // 2)
    )
    angles = positions.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class EmbeddingMLP(nn.Module):
    """Two linear layers around a SiLU: (n, in_dim) to (n, out_dim)."""

    def __init__(self, in_dim: int, out_dim: int, *, operations: Any, dtype: torch.dtype | None, device: Any):
        super().__init__()
        self.linear_1 = operations.Linear(in_dim, out_dim, dtype=dtype, device=device)
        self.linear_2 = operations.Linear(out_dim, out_dim, dtype=dtype, device=device)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


def channels_last(x: Tensor) -> Tensor:
    """Lay (b, c, f, h, w) out so that a pixel's channels are neighbours: all that follows is then a view."""
    return x.contiguous(memory_format=torch.channels_last_3d)


@cache
def over_frames(conv1d: type[nn.Conv1d]) -> type[nn.Conv1d]:
    """Return a kind of ``conv1d`` that takes (b, c, f, n) and convolves over ``f`` alone.

    As a 1-D convolution it would want every pixel's frames side by side: two copies a convolution. Torch's layers and
    ComfyUI's hand the weight (c_out, c, 3), cast and patched, to the method that is another one here.
    """

    class ConvOverFrames(conv1d):
        def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return F.conv2d(x, weight.unsqueeze(-1), bias, padding=(1, 0))

    return ConvOverFrames


class Pseudo3DConv(nn.Module):
    """A 3x3 convolution in space, then a width-3 convolution over time (Make-A-Video, Singer et al., 2022)."""

    def __init__(self, in_channels: int, out_channels: int, *, operations: Any, dtype: torch.dtype | None, device: Any):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        self.spatial_conv = operations.Conv2d(in_channels, out_channels, 3, padding=1, **factory)
        self.temporal_conv = over_frames(operations.Conv1d)(out_channels, out_channels, 3, padding=1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        b, _, _, h, _ = x.shape
        x = self.spatial_conv(rearrange(channels_last(x), "b c f h w -> (b f) c h w"))
        x = channels_last(rearrange(x, "(b f) c h w -> b c f h w", b=b))
        x = self.temporal_conv(rearrange(x, "b c f h w -> b c f (h w)"))
        return rearrange(x, "b c f (h w) -> b c f h w", h=h)


class ResidualBlock(nn.Module):
    """Two normalised pseudo-3D convolutions; the time and the fps embedding are added after the first.

    Both norms take their statistics over frames as well as space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embedding_dim: int,
        *,
        groups: int,
        eps: float,
        operations: Any,
        dtype: torch.dtype | None,
        device: Any,
    ):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        self.norm1 = operations.GroupNorm(groups, in_channels, eps=eps, **factory)
        self.conv1 = Pseudo3DConv(in_channels, out_channels, operations=operations, **factory)
        self.time_emb_proj = operations.Linear(embedding_dim, out_channels, **factory)
        self.fps_emb_proj = operations.Linear(embedding_dim, out_channels, **factory)
        self.norm2 = operations.GroupNorm(groups, out_channels, eps=eps, **factory)
        self.conv2 = Pseudo3DConv(out_channels, out_channels, operations=operations, **factory)
        self.conv_shortcut = (
            nn.Identity() if in_channels == out_channels else operations.Conv3d(in_channels, out_channels, 1, **factory)
        )

    def forward(self, x: Tensor, time_embedding: Tensor, fps_embedding: Tensor) -> Tensor:
        """``x`` (b, c, f, h, w); embeddings (b, embedding_dim), already through their SiLU."""
        shift = self.time_emb_proj(time_embedding) + self.fps_emb_proj(fps_embedding)
        h = self.conv1(F.silu(self.norm1(x))) + rearrange(shift, "b c -> b c 1 1 1")
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Downsample(nn.Module):
    """Halve height and width (rounded up) with a strided 3x3 convolution; frames stay apart."""

    def __init__(self, channels: int, *, operations: Any, dtype: torch.dtype | None, device: Any):
        super().__init__()
        self.conv = operations.Conv3d(
            channels, channels, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), dtype=dtype, device=device
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Upsample(nn.Module):
    """Nearest-neighbour resize to a given size, then a 3x3 convolution; frames stay apart."""

    def __init__(self, channels: int, *, operations: Any, dtype: torch.dtype | None, device: Any):
        super().__init__()
        self.conv = operations.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1), dtype=dtype, device=device)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """``size`` is the (h, w) of the skip connection to be met, so that odd latents come out as they went in."""
        return self.conv(F.interpolate(x, size=(x.shape[2], *size), mode="nearest"))
