"""Tensors on their way: the same values, in the same layout, in memory of their own."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.fleet.packets import pack, unpack

DENSE = torch.arange(120.0).reshape(2, 3, 4, 5)


@pytest.mark.parametrize(
    "tensor",
    [
        DENSE,
        DENSE.permute(0, 2, 1, 3),
        DENSE.contiguous(memory_format=torch.channels_last),
        DENSE[:1].expand(4, -1, -1, -1),
        DENSE[1],
        DENSE[..., 1:],
        DENSE.to(torch.bfloat16),
        DENSE > 7,
        torch.tensor(25),
        torch.zeros(0, 4),
        DENSE[:, :, :, :1],
    ],
    ids=["dense", "permuted", "channels", "expanded", "offset", "gaps", "bf16", "bool", "number", "none", "few"],
)
def test_values_and_layout_arrive(tensor):
    arrived = unpack(pack(tensor=tensor))["tensor"]
    assert torch.equal(arrived, tensor) and arrived.dtype == tensor.dtype
    if tensor.shape != DENSE[:, :, :, :1].shape:
        assert arrived.stride() == tensor.stride()


def test_a_small_view_does_not_take_all_along_that_it_is_a_view_of():
    assert len(pack(view=torch.zeros(1000, 1000)[:, 0])) < 10_000


def test_tensors_that_share_memory_travel_apart():
    arrived = unpack(pack(first=DENSE, second=DENSE.permute(3, 2, 1, 0)))
    assert torch.equal(arrived["first"], DENSE) and torch.equal(arrived["second"], DENSE.permute(3, 2, 1, 0))
    arrived["first"].zero_()
    assert arrived["second"].any()
