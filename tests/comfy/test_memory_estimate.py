"""What ComfyUI is told of the memory that a forward pass takes, against what its tensors take.

The full-size network runs on torch's meta device: every tensor is made, at its true size, and none is computed. So the
sum of those alive at once can be counted for any canvas, in a second, and without a GPU.
"""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TOKENS = 16 * 14 * 14
"""Of sixteen global frames."""


class LivingTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that are made and still alive; ``peak`` is the most there were at once."""

    def __init__(self, given: list[torch.Tensor]):
        super().__init__()
        self.given = {tensor.untyped_storage()._cdata for tensor in given}
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor.untyped_storage())
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.alive or storage._cdata in self.given:
            return
        self.alive[storage._cdata] = storage.nbytes()
        weakref.finalize(storage, self.alive.pop, storage._cdata)
        self.peak = max(self.peak, sum(self.alive.values()))


def fused(q, k, v, heads, **options):
    """An attention kernel that keeps nothing but its result, as those of GPUs do."""
    return torch.empty_like(q)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=["fp16", "fp32"])
def test_the_estimate_holds_for_every_canvas_and_is_not_wasteful(pack, dtype):
    unet = pack.module("m3ddm_core.unet")
    network = unet.M3DDMUNet(unet.M3DDM_CONFIG, attention=fused, dtype=dtype, device="meta").requires_grad_(False)
    kind = pack.module("nodes.host.model").M3DDM

    class Model:
        diffusion_model = network

        def get_dtype_inference(self):
            return dtype

    for batch, height, width in ((1, 32, 32), (3, 32, 32), (1, 64, 64), (2, 20, 36)):
        x = torch.empty(batch, 9, 16, height, width, dtype=dtype, device="meta")
        tokens = torch.empty(batch, TOKENS, 320, dtype=dtype, device="meta")
        counted = LivingTensors([*network.parameters(), x, tokens])
        with counted:
            network(x, torch.zeros(batch, device="meta"), tokens, torch.ones(batch, device="meta", dtype=torch.int64))
        told = kind.memory_required(Model(), (batch, 4, 16, height, width))
        assert counted.peak <= told <= 1.6 * counted.peak, (batch, height, width, counted.peak, told)
