"""The levels of the U-Net: down, middle and up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class NoAttention(nn.Module):
    """Stands where a level has no transformer, so that every level runs the same way."""

    def forward(self, x: Tensor, global_tokens: Tensor, transformer_options: dict) -> Tensor:
        return x


class DownBlock(nn.Module):
    """Residual block and transformer in turn, then at most one downsampler; every intermediate result is a skip."""

    def __init__(
        self, resnets: Sequence[nn.Module], attentions: Sequence[nn.Module], downsamplers: Sequence[nn.Module]
    ):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)
        self.downsamplers = nn.ModuleList(downsamplers)

    def forward(
        self, x: Tensor, time_embedding: Tensor, fps_embedding: Tensor, global_tokens: Tensor, transformer_options: dict
    ) -> tuple[Tensor, list[Tensor]]:
        skips = []
        for resnet, attention in zip(self.resnets, self.attentions, strict=True):
            x = attention(resnet(x, time_embedding, fps_embedding), global_tokens, transformer_options)
            skips.append(x)
        for downsampler in self.downsamplers:
            x = downsampler(x)
            skips.append(x)
        return x, skips


class MidBlock(nn.Module):
    """Residual block, transformer, residual block."""

    def __init__(self, resnets: Sequence[nn.Module], attentions: Sequence[nn.Module]):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)

    def forward(
        self, x: Tensor, time_embedding: Tensor, fps_embedding: Tensor, global_tokens: Tensor, transformer_options: dict
    ) -> Tensor:
        first, *others = self.resnets
        x = first(x, time_embedding, fps_embedding)
        for attention, resnet in zip(self.attentions, others, strict=True):
            x = resnet(attention(x, global_tokens, transformer_options), time_embedding, fps_embedding)
        return x


class UpBlock(nn.Module):
    """Takes one skip a layer, last made first; then upsamples to the size of the skip that comes next."""

    def __init__(self, resnets: Sequence[nn.Module], attentions: Sequence[nn.Module], upsamplers: Sequence[nn.Module]):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)
        self.upsamplers = nn.ModuleList(upsamplers)

    def forward(
        self,
        x: Tensor,
        skips: list[Tensor],
        time_embedding: Tensor,
        fps_embedding: Tensor,
        global_tokens: Tensor,
        transformer_options: dict,
    ) -> Tensor:
        for resnet, attention in zip(self.resnets, self.attentions, strict=True):
            x = torch.cat([x, skips.pop()], dim=1)
            x = attention(resnet(x, time_embedding, fps_embedding), global_tokens, transformer_options)
        for upsampler in self.upsamplers:
            x = upsampler(x, skips[-1].shape[-2:])
        return x
