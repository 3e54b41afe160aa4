"""What is fast on a CPU computes what it stands for, through the layers that it was made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3ddm_core.unet import cpu, sdpa

HEADS = 2


@pytest.fixture
def avx512(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU on which oneDNN is the faster library, whatever this one is: oneDNN runs on all of them."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


class Halved:
    """Layers that use their weights halved, as a host casts and patches them, and remember their inputs."""

    seen: list[Tensor]

    class Linear(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            Halved.seen.append(x)
            return F.linear(x, self.weight / 2, self.bias / 2)

    class Conv2d(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            Halved.seen.append(x)
            return self._conv_forward(x, self.weight / 2, self.bias / 2)


@pytest.fixture
def halved() -> type[Halved]:
    Halved.seen = []
    return Halved


@torch.inference_mode()
def test_a_linear_layer_takes_onednns_way_through_the_forward_of_its_base(avx512: None, halved: type[Halved]) -> None:
    layer = cpu.tuned(halved).Linear(8, 12)
    x = torch.randn(3, cpu.MANY_ROWS, 8)
    answer = layer(x)
    torch.testing.assert_close(answer, F.linear(x, layer.weight / 2, layer.bias / 2))
    assert [seen.is_mkldnn for seen in halved.seen] == [True] and not answer.is_mkldnn


@pytest.mark.parametrize(
    ("x", "gradients", "capability"),
    [
        (torch.ones(cpu.MANY_ROWS, 8), True, "AVX512"),
        (torch.ones(cpu.MANY_ROWS, 8), False, "AVX2"),
        (torch.ones(cpu.MANY_ROWS - 1, 8), False, "AVX512"),
        (torch.ones(cpu.MANY_ROWS, 8, dtype=torch.bfloat16), False, "AVX512"),
    ],
    ids=["gradients", "AVX2", "few rows", "half precision"],
)
def test_a_linear_layer_stays_with_torchs_library_elsewhere(
    monkeypatch: pytest.MonkeyPatch, halved: type[Halved], x: Tensor, gradients: bool, capability: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    layer = cpu.tuned(halved).Linear(8, 12, dtype=x.dtype)
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight / 2, layer.bias / 2))
    assert not halved.seen[0].is_mkldnn


@pytest.mark.parametrize(("size", "kernel", "copied"), [(1, 3, True), (6, 3, False), (1, 1, False)])
@torch.inference_mode()
def test_a_convolution_copies_the_smaller_of_input_and_weight(
    halved: type[Halved], size: int, kernel: int, copied: bool
) -> None:
    layer = cpu.tuned(halved).Conv2d(8, 40, kernel, padding=kernel // 2)
    x = torch.randn(4, size + 1, size + 1, 8).movedim(-1, 1)
    expected = F.conv2d(x, layer.weight / 2, layer.bias / 2, padding=kernel // 2)
    torch.testing.assert_close(layer(x), expected)
    assert halved.seen[0].is_contiguous() == copied


def test_other_layers_are_those_of_the_base_and_names_stay() -> None:
    tuned = cpu.tuned(nn)
    assert tuned.GroupNorm is nn.GroupNorm and tuned.Conv3d is nn.Conv3d
    with pytest.raises(AttributeError, match="NoSuchLayer"):
        _ = tuned.NoSuchLayer
    assert isinstance(tuned.Linear(2, 3), nn.Linear) and set(tuned.Linear(2, 3).state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize(("numbers", "pieces"), [(1 << 22, 1), (8 * 4, 6), (1, 21)])
def test_rows_go_through_in_pieces(monkeypatch: pytest.MonkeyPatch, numbers: int, pieces: int) -> None:
    monkeypatch.setattr(cpu, "PIECE", numbers)
    seen = []
    x = torch.randn(3, 7, 5)
    answer = cpu.by_rows(lambda piece: seen.append(len(piece)) or piece * 2, x, widest=8)
    assert torch.equal(answer, x * 2)
    assert len(seen) == pieces and sum(seen) == 21


def draw(b: int, queries: int, keys: int, *, scale: float = 1.0) -> list[Tensor]:
    """Queries, keys and values in bfloat16; ``scale`` widens the scores."""
    generator = torch.Generator().manual_seed(queries + keys)
    q, k, v = (torch.randn(b, n, HEADS * 40, generator=generator) for n in (queries, keys, keys))
    return [t.to(torch.bfloat16) for t in (q * scale, k, v)]


@pytest.mark.parametrize("keys", [16, 257])
def test_half_precision_answers_and_learns_as_full_precision_does(keys: int) -> None:
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        q, k, v = (t.detach().to(dtype).requires_grad_() for t in draw(2, 8, keys))
        answer = cpu.attention(q, k, v, HEADS)
        answer.float().square().sum().backward()
        results.append([answer, q.grad, k.grad, v.grad])
    for full, half in zip(*results, strict=True):
        assert half.dtype == torch.bfloat16
        assert (full - half.float()).norm() < 0.02 * full.norm()


@pytest.mark.parametrize("scale", [1.0, 4.0])
@torch.inference_mode()
def test_half_precision_is_rounded_once(scale: float) -> None:
    """Neither scores nor weights are rounded on the way: the answer is the exact one's nearest number."""
    q, k, v = draw(2, 300, 70, scale=scale)
    exact = sdpa(q.double(), k.double(), v.double(), HEADS)
    torch.testing.assert_close(cpu.attention(q, k, v, HEADS), exact.to(torch.bfloat16), rtol=2**-7, atol=1e-6)
    rounded_once = (exact.to(torch.bfloat16) - exact).norm()
    assert (cpu.attention(q, k, v, HEADS) - exact).norm() < 1.01 * rounded_once


@torch.inference_mode()
def test_full_precision_is_torchs_own() -> None:
    q, k, v = (t.float() for t in draw(1, 30, 70))
    assert torch.equal(cpu.attention(q, k, v, HEADS), sdpa(q, k, v, HEADS))


class Watched:
    """Stands for one of torch's modules of switches: reading is allowed, setting is not."""

    def __init__(self, module: Any):
        object.__setattr__(self, "module", module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError(f"{name} of a process-wide switch was set to {value}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_no_process_wide_switch_is_set(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """Other threads' products would change with it."""
    if not hasattr(torch.backends.mkldnn, "matmul"):
        pytest.skip("torch has had the precision of oneDNN's products since 2.9")
    monkeypatch.setattr(torch.backends.mkldnn, "matmul", Watched(torch.backends.mkldnn.matmul))
    q, k, v = (t.to(dtype) for t in draw(1, 300, 300))
    cpu.attention(q, k, v, HEADS)
