"""Attention itself, without weights: torch's fused kernel, and plain products where they are faster on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

SHORT_SEQUENCE = 256
"""Keys up to which plain products beat torch's fused attention on a CPU, in half precision."""

VERY_SHORT_SEQUENCE = 64
"""Queries and keys up to which they beat products in pieces, too."""

SCORES = 1 << 22
"""Scores that are held at once, 16 MB in float32: what the caches hold."""

QUERIES = 1024
"""Queries of one product: with fewer, laying the keys out for it takes too large a share."""


def sdpa(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict | None = None) -> Tensor:
    """Scaled dot-product attention: q (b, n, c), k and v (b, m, c), returns (b, n, c); no long n by m matrix is kept.

    ``transformer_options`` is what ComfyUI's attentions are given, and not read here.
    """
    half_on_cpu = q.device.type == "cpu" and q.dtype != torch.float32
    if half_on_cpu and max(q.shape[1], k.shape[1]) > VERY_SHORT_SEQUENCE and can_widen(q):
        return attend_in_pieces(q, k, v, heads)
    q, k, v = (rearrange(t, "b n (heads d) -> b heads n d", heads=heads) for t in (q, k, v))
    if half_on_cpu and k.shape[2] <= SHORT_SEQUENCE:
        # The fused kernel widens such sequences piece by piece: its gradient takes up to ten times as long.
        weights = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(dim=-1, dtype=torch.float32).to(q.dtype)
        x = weights @ v
    else:
        x = F.scaled_dot_product_attention(q, k, v)
    return rearrange(x, "b heads n d -> b n (heads d)")


def can_widen(q: Tensor) -> bool:
    """Whether products of queries may go through :func:`widening_products`; torch has the setting since 2.9."""
    return (
        q.dtype == torch.bfloat16
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and hasattr(torch.backends.mkldnn, "matmul")
    )


@contextmanager
def widening_products() -> Iterator[None]:
    """Within it, float32 products on a CPU go to oneDNN, which may round their factors to bfloat16, never a result.

    Of factors that were bfloat16 before, nothing is lost. Torch has no product on a CPU from bfloat16 to float32, and
    scores rounded to bfloat16 would make attention several times less accurate.
    """
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before


def attend_in_pieces(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """As :func:`sdpa`, in bfloat16 and without gradient: scores, their softmax and sums in float32, a piece at a time.

    Torch's fused kernel leaves products of bfloat16 to MKL, which has half of oneDNN's speed on an AMD EPYC.
    """
    b = q.shape[0]
    q, k, v = (rearrange(t, "b n (heads d) -> (b heads) n d", heads=heads) for t in (q, k, v))
    result = torch.empty_like(q, memory_format=torch.contiguous_format)
    scale = q.shape[-1] ** -0.5
    queries, keys = min(q.shape[1], QUERIES), k.shape[1]
    together = min(len(q), max(1, SCORES // (queries * keys)))
    # Held for all pieces: fresh memory costs as much time as the products.
    room = torch.empty(together, queries, keys, dtype=torch.float32)
    with widening_products():
        for first in range(0, len(q), together):
            some = slice(first, first + together)
            to_keys, values = k[some].float().transpose(1, 2), v[some].float()
            for piece, answer in zip(q[some].split(queries, 1), result[some].split(queries, 1), strict=True):
                scores = room[: len(piece), : piece.shape[1]]
                torch.baddbmm(scores, piece.float(), to_keys, beta=0, alpha=scale, out=scores)
                answer.copy_(torch.softmax(scores, dim=-1, out=scores) @ values)
    return rearrange(result, "(b heads) n d -> b n (heads d)", b=b)
