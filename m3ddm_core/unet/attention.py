"""The spatial-then-temporal transformer of each attention level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .cpu import by_rows
from .layers import EmbeddingMLP, sinusoidal_embedding

FRAME_EMBEDDING_DIM = 320
FRAME_MAX_PERIOD = 1000
TRANSFORMER_NORM_EPS = 1e-6

Attention = Callable[..., Tensor]
"""``attention(q, k, v, heads, transformer_options=...)`` over (b, n, heads * d) tensors, as ComfyUI's are called."""


class MultiHeadAttention(nn.Module):
    """Queries from one sequence, keys and values from another or the same."""

    def __init__(
        self,
        dim: int,
        token_dim: int,
        heads: int,
        *,
        attention: Attention,
        operations: Any,
        dtype: torch.dtype | None,
        device: Any,
    ):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        self.heads = heads
        self.attention = attention
        self.to_q = operations.Linear(dim, dim, bias=False, **factory)
        self.to_k = operations.Linear(token_dim, dim, bias=False, **factory)
        self.to_v = operations.Linear(token_dim, dim, bias=False, **factory)
        self.to_out = nn.ModuleList([operations.Linear(dim, dim, **factory)])

    def forward(self, x: Tensor, tokens: Tensor, transformer_options: dict) -> Tensor:
        q, k, v = self.to_q(x), self.to_k(tokens), self.to_v(tokens)
        return self.to_out[0](self.attention(q, k, v, self.heads, transformer_options=transformer_options))


class GEGLU(nn.Module):
    """Linear layer whose second half gates its first through a GELU (Shazeer, 2020)."""

    def __init__(self, in_dim: int, out_dim: int, *, operations: Any, dtype: torch.dtype | None, device: Any):
        super().__init__()
        self.proj = operations.Linear(in_dim, 2 * out_dim, dtype=dtype, device=device)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU to four times the width and back."""

    def __init__(self, dim: int, *, operations: Any, dtype: torch.dtype | None, device: Any):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        # The identity keeps the published numbering, in which a dropout stands between the two layers.
        self.net = nn.Sequential(
            GEGLU(dim, 4 * dim, operations=operations, **factory),
            nn.Identity(),
            operations.Linear(4 * dim, dim, **factory),
        )

    def forward(self, x: Tensor) -> Tensor:
        return by_rows(self.net, x, widest=8 * x.shape[-1])


class TransformerBlock(nn.Module):
    """Self-attention, a second attention, feed-forward: each normalised and added to its input."""

    def __init__(
        self,
        dim: int,
        token_dim: int,
        heads: int,
        *,
        attention: Attention,
        operations: Any,
        dtype: torch.dtype | None,
        device: Any,
    ):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        layers = {"operations": operations, **factory}
        self.attn1 = MultiHeadAttention(dim, dim, heads, attention=attention, **layers)
        self.attn2 = MultiHeadAttention(dim, token_dim, heads, attention=attention, **layers)
        self.ff = FeedForward(dim, **layers)
        self.norm1 = operations.LayerNorm(dim, **factory)
        self.norm2 = operations.LayerNorm(dim, **factory)
        self.norm3 = operations.LayerNorm(dim, **factory)

    def self_attend(self, x: Tensor, transformer_options: dict) -> Tensor:
        y = self.norm1(x)
        return x + self.attn1(y, y, transformer_options)

    def cross_attend(self, x: Tensor, tokens: Tensor, transformer_options: dict) -> Tensor:
        return x + self.attn2(self.norm2(x), tokens, transformer_options)

    def self_attend_again(self, x: Tensor, transformer_options: dict) -> Tensor:
        y = self.norm2(x)
        return x + self.attn2(y, y, transformer_options)

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self.ff(self.norm3(x))


class SpatioTemporalTransformer(nn.Module):
    """A transformer over each frame's pixels, then one over each pixel's frames, each inside a residual.

    The spatial half looks at the global tokens in its second attention; the temporal half looks at itself again. The
    spatial norm is per frame, the temporal one takes its statistics over frames as well.
    """

    def __init__(
        self,
        channels: int,
        token_dim: int,
        heads: int,
        *,
        groups: int,
        attention: Attention,
        operations: Any,
        dtype: torch.dtype | None,
        device: Any,
    ):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        layers = {"operations": operations, **factory}
        self.norm = operations.GroupNorm(groups, channels, eps=TRANSFORMER_NORM_EPS, **factory)
        self.proj_in = operations.Conv2d(channels, channels, 1, **factory)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(channels, token_dim, heads, attention=attention, **layers)]
        )
        self.proj_out = operations.Conv2d(channels, channels, 1, **factory)

        self.temporal_position_embed_proj = EmbeddingMLP(FRAME_EMBEDDING_DIM, channels, **layers)
        self.norm2 = operations.GroupNorm(groups, channels, eps=TRANSFORMER_NORM_EPS, **factory)
        self.proj_in2 = operations.Conv3d(channels, channels, 1, **factory)
        self.transformer_blocks2 = nn.ModuleList(
            [TransformerBlock(channels, channels, heads, attention=attention, **layers)]
        )
        self.proj_out2 = operations.Conv3d(channels, channels, 1, **factory)

    def forward(self, x: Tensor, tokens: Tensor, transformer_options: dict) -> Tensor:
        """``x`` (b, c, f, h, w), ``tokens`` (b, n, token_dim)."""
        x = x + self.over_space(x, tokens, transformer_options)
        return x + self.over_time(x, transformer_options)

    def over_space(self, x: Tensor, tokens: Tensor, transformer_options: dict) -> Tensor:
        b, _, f, h, _ = x.shape
        x = self.proj_in(self.norm(rearrange(x, "b c f h w -> (b f) c h w")))
        x = rearrange(x, "(b f) c h w -> (b f) (h w) c", b=b)
        for block in self.transformer_blocks:
            x = block.self_attend(x, transformer_options)
            # All frames of a clip ask the same tokens: as one long sequence of queries they share keys and values.
            x = rearrange(x, "(b f) n c -> b (f n) c", b=b)
            x = block.feed_forward(block.cross_attend(x, tokens, transformer_options))
            x = rearrange(x, "b (f n) c -> (b f) n c", f=f)
        x = self.proj_out(rearrange(x, "bf (h w) c -> bf c h w", h=h))
        return rearrange(x, "(b f) c h w -> b c f h w", b=b)

    def over_time(self, x: Tensor, transformer_options: dict) -> Tensor:
        b, _, f, h, _ = x.shape
        x = rearrange(self.proj_in2(self.norm2(x)), "b c f h w -> (b h w) f c")
        frames = torch.arange(f, device=x.device)
        positions = sinusoidal_embedding(frames, FRAME_EMBEDDING_DIM, FRAME_MAX_PERIOD).to(x.dtype)
        x = x + self.temporal_position_embed_proj(positions)
        for block in self.transformer_blocks2:
            x = block.self_attend(x, transformer_options)
            x = block.self_attend_again(x, transformer_options)
            x = block.feed_forward(x)
        return self.proj_out2(rearrange(x, "(b h w) f c -> b c f h w", b=b, h=h))
