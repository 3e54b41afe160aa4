"""The light bottleneck ResNet that turns the latents of the global frames into tokens."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

STAGES = ((8, 1), (16, 1), (32, 2), (64, 1), (128, 1))
"""Output channels and stride of each stage (He et al., 2015, with a quarter of the width inside)."""


class ConvNorm(nn.Module):
    """A convolution without bias and the batch norm that follows it; the network keeps that norm in evaluation mode."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        operations: Any,
        dtype: torch.dtype | None,
        device: Any,
    ):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        self.convolution = operations.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False, **factory
        )
        self.normalization = operations.BatchNorm2d(out_channels, **factory)

    def forward(self, x: Tensor) -> Tensor:
        return self.normalization(self.convolution(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided), 1x1 convolutions on a quarter of the channels, added to the input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, **factory: Any):
        super().__init__()
        inner = out_channels // 4
        same = in_channels == out_channels and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(in_channels, out_channels, 1, stride, **factory)
        self.layer = nn.ModuleList(
            [
                ConvNorm(in_channels, inner, 1, **factory),
                ConvNorm(inner, inner, 3, stride, **factory),
                ConvNorm(inner, out_channels, 1, **factory),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        reduce, convolve, expand = self.layer
        return F.relu(self.shortcut(x) + expand(F.relu(convolve(F.relu(reduce(x))))))


class GlobalEncoder(nn.Module):
    """Latents (b, g, c, h, w) of ``g`` global frames to tokens (b, n, dim): 196 a frame at 32x32 latents."""

    def __init__(self, in_channels: int, dim: int, *, operations: Any, dtype: torch.dtype | None, device: Any):
        super().__init__()
        factory = {"operations": operations, "dtype": dtype, "device": device}
        stages = []
        for out_channels, stride in STAGES:
            layers = nn.Sequential(
                Bottleneck(in_channels, out_channels, stride, **factory),
                Bottleneck(out_channels, out_channels, 1, **factory),
            )
            stages.append(nn.Sequential(OrderedDict(layers=layers)))
            in_channels = out_channels
        self.resnet_layer = nn.Sequential(*stages)
        self.convolution = operations.Conv2d(in_channels, dim, 3, dtype=dtype, device=device)

    def forward(self, latents: Tensor) -> Tensor:
        b = latents.shape[0]
        x = self.convolution(self.resnet_layer(rearrange(latents, "b g c h w -> (b g) c h w")))
        return rearrange(x, "(b g) c h w -> b (g h w) c", b=b)
