"""What makes the network fast on a CPU: operations and an attention to inject, and long layers piece by piece.

All of it computes what it stands for, to rounding, and asks at every call where its input lies: a host may build the
network on one device and run it on another. ``benchmarks/README.md`` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .scaled_dot_product import sdpa

MANY_ROWS = 64
"""Rows from which a linear layer's product outweighs laying its input and output out."""

PIECE = 1 << 22
"""Numbers in the widest intermediate result of a piece, 16 MB in float32: what the caches hold."""


@dataclass(frozen=True)
class Operations:
    """The layers of ``base``, of which two are replaced."""

    base: Any
    Linear: type
    Conv2d: type

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)


def tuned(base: Any) -> Operations:
    """Return the layers of ``base`` (``torch.nn`` or a host's operations), linear and convolving ones fast on a CPU.

    Each only lays its input out and hands it to the forward of ``base``, which casts and patches weights as ever.
    """

    class Linear(base.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.to_mkldnn()).to_dense() if onednn_is_faster(x) else super().forward(x)

    class Conv2d(base.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.contiguous() if weight_is_larger(self, x) else x)

    return Operations(base, Linear, Conv2d)


def onednn_is_faster(x: Tensor) -> bool:
    """Whether a linear layer over ``x`` (..., c) gains by the other of torch's two matrix libraries.

    Torch hands float32 to MKL, which on an AMD EPYC reached 0.4 of oneDNN's speed with AVX-512, and the same with AVX2.
    An input in oneDNN's layout takes the other way through the same layer.
    """
    # A compiler chooses layouts itself; nor may it meet the questions that follow, which would break its graph.
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return False
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.shape[:-1].numel() >= MANY_ROWS
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
    )


def weight_is_larger(convolution: torch.nn.Conv2d, x: Tensor) -> bool:
    """Whether a convolution's weight is far larger than its input ``x`` (n, c, h, w), as at the coarsest levels.

    Torch lays the weight out as the input is, at every call: copying ``x`` and the output instead is cheaper then.
    """
    if x.device.type != "cpu" or convolution.kernel_size == (1, 1):
        return False
    n, _, h, w = x.shape
    return n * h * w < convolution.out_channels


def by_rows(function: Callable[[Tensor], Tensor], x: Tensor, widest: int) -> Tensor:
    """Return ``function(x)`` where it treats every row of ``x`` (..., c) alone and keeps their shape.

    On a CPU in pieces that stay in the caches and in memory that the process already has. ``widest`` is the width of
    the function's widest intermediate result.
    """
    if x.device.type != "cpu":
        return function(x)
    pieces = x.flatten(0, -2).split(max(1, PIECE // widest))
    return torch.cat([function(piece) for piece in pieces]).view_as(x)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict | None = None) -> Tensor:
    """As `sdpa`; on a CPU half precision is widened, and rounded once at the end.

    Torch's fused kernel gains nothing from half precision there: it takes as long as in float32 with AVX-512 and more
    with AVX2, its gradient several times as long.
    """
    if q.device.type != "cpu":
        return sdpa(q, k, v, heads)
    return sdpa(q.float(), k.float(), v.float(), heads).to(q.dtype)
