"""Attention itself, without weights: torch's fused kernel."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def sdpa(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict | None = None) -> Tensor:
    """Scaled dot-product attention: q (b, n, c), k and v (b, m, c), returns (b, n, c); no n by m matrix is kept.

    ``transformer_options`` is what ComfyUI's attentions are given, and not read here.
    """
    q, k, v = (rearrange(t, "b n (heads d) -> b heads n d", heads=heads) for t in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "b heads n d -> b n (heads d)")
