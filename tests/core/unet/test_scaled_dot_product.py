"""Attention in half precision on a CPU: as exact as torch's own, with and without gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from m3ddm_core.unet import scaled_dot_product as attention
from m3ddm_core.unet import sdpa

HEADS = 2
needs_setting = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"), reason="torch has had the precision of oneDNN's products since 2.9"
)


def draw(b: int, queries: int, keys: int, *, scale: float = 1.0) -> list[Tensor]:
    """Queries, keys and values in bfloat16; ``scale`` widens the scores."""
    generator = torch.Generator().manual_seed(queries + keys)
    q, k, v = (torch.randn(b, n, HEADS * 40, generator=generator) for n in (queries, keys, keys))
    return [t.to(torch.bfloat16) for t in (q * scale, k, v)]


def error(answer: Tensor, exact: Tensor) -> float:
    return ((answer.float() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("keys", [16, attention.SHORT_SEQUENCE, attention.SHORT_SEQUENCE + 1])
def test_half_precision_answers_and_learns_as_full_precision_does(keys: int) -> None:
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        q, k, v = (t.detach().to(dtype).requires_grad_() for t in draw(2, 8, keys))
        answer = sdpa(q, k, v, HEADS)
        answer.float().square().sum().backward()
        results.append([answer, q.grad, k.grad, v.grad])
    for full, half in zip(*results, strict=True):
        assert (full - half.float()).norm() < 0.02 * full.norm()


@needs_setting
@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize(("b", "queries", "keys"), [(1, 300, 70), (3, 65, 257), (2, 1030, 300)])
@torch.inference_mode()
def test_pieces_are_as_exact_as_the_fused_kernel(
    monkeypatch: pytest.MonkeyPatch, b: int, queries: int, keys: int, scale: float
) -> None:
    q, k, v = draw(b, queries, keys, scale=scale)
    exact = sdpa(q.float(), k.float(), v.float(), HEADS)
    heads_apart = [t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (q, k, v)]
    fused = F.scaled_dot_product_attention(*heads_apart).transpose(1, 2).flatten(2)
    for scores in (attention.SCORES, 64 * keys, keys):  # all heads at once, some at once, one after the other
        monkeypatch.setattr(attention, "SCORES", scores)
        monkeypatch.setattr(attention, "QUERIES", 64 if scores < 1 << 22 else 1024)
        assert error(sdpa(q, k, v, HEADS), exact) < 1.2 * error(fused, exact)


@needs_setting
@torch.inference_mode()
def test_others_products_keep_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    within = []
    softmax = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda *a, **k: within.append(setting.fp32_precision) or softmax(*a, **k))
    sdpa(*draw(1, 300, 300), HEADS)
    assert within == ["bf16"] and setting.fp32_precision == before
    monkeypatch.setattr(torch, "softmax", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sdpa(*draw(1, 300, 300), HEADS)
    assert setting.fp32_precision == before
