"""The host's accelerators, as far as a CPU can try them: weights that stay behind, conditions split over devices."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def sample(pack: Any, small_state: Any) -> Any:
    """Two steps of one clip with all three conditions; what comes out of a model."""
    settings = pack.settings(steps=2)

    def run(model: Any) -> torch.Tensor:
        return pack.run("M3DDM_SampleInfill", model=model, state=small_state, seed=0, settings=settings)[1]["samples"]

    return run


def add_patch_everywhere(patcher: Any) -> Any:
    """A copy of the model with a LoRA's kind of patch on every convolution and linear layer."""
    patched = patcher.clone()
    weights = patcher.model.state_dict()
    names = [name for name, tensor in weights.items() if name.endswith(".weight") and tensor.ndim > 1]
    draw = torch.Generator().manual_seed(1)
    patches = {name: ("diff", (torch.randn(weights[name].shape, generator=draw) * 0.01,)) for name in names}
    assert set(patched.add_patches(patches, 1.0)) == set(names)
    return patched


def network_input() -> dict[str, torch.Tensor]:
    """What the network is asked for one small clip."""
    return {
        "x": torch.randn(1, 9, 16, 8, 8, generator=torch.Generator().manual_seed(2)),
        "timesteps": torch.tensor([500]),
        "context": torch.randn(1, 36, 320, generator=torch.Generator().manual_seed(3)),
        "fps": torch.tensor([24]),
    }


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_weights_that_stay_behind_are_cast_and_patched_as_they_are_used(
    model: Any, monkeypatch: pytest.MonkeyPatch, capability: str
) -> None:
    """Low VRAM: ComfyUI keeps weights on the offload device and patches them on the way to each layer.

    Where a CPU has AVX-512 linear layers are given tensors in oneDNN's layout; that layout runs on any.
    """
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    answers = {}
    for budget in (0, 1):  # 0: everything at once; 1 byte: nothing fits
        patched = add_patch_everywhere(model).clone(disable_dynamic=True)
        patched.patch_model(torch.device("cpu"), lowvram_model_memory=budget)
        with torch.inference_mode():
            answers[budget] = patched.model.diffusion_model(**network_input(), transformer_options={})
        behind = [m for m in patched.model.modules() if getattr(m, "weight_function", [])]
        assert bool(behind) == bool(budget)
        patched.unpatch_model(torch.device("cpu"))
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-4, atol=1e-4)


def test_conditions_split_over_devices_give_the_same(model: Any, sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """ComfyUI's MultiGPU work units, over two devices that are both this CPU."""
    import comfy.model_management
    import comfy.multigpu
    import comfy.samplers

    alone = sample(model)
    devices = [torch.device("cpu"), torch.device("cpu", 0)]
    monkeypatch.setattr(comfy.model_management, "get_all_torch_devices", lambda exclude_current=False: devices)
    split = comfy.multigpu.create_multigpu_deepclones(model, max_gpus=2)
    assert len(split.get_additional_models_with_key("multigpu")) == 1
    used = []
    calc = comfy.samplers._calc_cond_batch_multigpu
    monkeypatch.setattr(comfy.samplers, "_calc_cond_batch_multigpu", lambda *args: used.append(1) or calc(*args))
    # Seeded weights enlarge the rounding of another batch size; another condition's answer would be off by all of it.
    assert (sample(split) - alone).norm() < 1e-3 * alone.norm()
    assert used


def test_the_layers_are_comfyuis_made_fast_on_a_cpu(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.ops

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    network = model.model.diffusion_model
    linear = network.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q
    assert isinstance(linear, comfy.ops.disable_weight_init.Linear)
    products = []
    plain = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda x, *weights: products.append(x.is_mkldnn) or plain(x, *weights)
    )
    with torch.inference_mode():
        network(**network_input(), transformer_options={})
    assert sum(products) > len(products) / 2


def test_attention_can_be_overridden_on_a_cpu_too(model: Any) -> None:
    """As patches for attention kernels do it, which ComfyUI hands on in ``transformer_options``."""
    asked = []

    def override(attend: Any, *args: Any, **options: Any) -> torch.Tensor:
        asked.append(attend)
        return attend(*args, **options)

    network = model.model.diffusion_model
    with torch.inference_mode():
        plain = network(**network_input(), transformer_options={})
        overridden = network(**network_input(), transformer_options={"optimized_attention_override": override})
    assert torch.equal(overridden, plain)
    attentions = [m for m in network.modules() if type(m).__name__ == "MultiHeadAttention"]
    assert len(asked) == len(attentions) > 0
    assert {attend.__name__ for attend in asked} == {"attention_on_cpu"}, "not the slower one of ComfyUI on a CPU"


def test_a_model_compiled_by_the_cores_wrapper_gives_the_same(
    pack: Any, golden: Any, sample: Any, tmp_path: Path
) -> None:
    """As the node TorchCompileModel does it, with dynamo's plain backend: inductor would take minutes here."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    published = pack.module("m3ddm_core.unet").M3DDM_CONFIG
    config = dataclasses.replace(published, block_out_channels=(32, 32), layers_per_block=1)
    file = tmp_path / "smallest.safetensors"
    pack.module("m3ddm_core.checkpoint").save_checkpoint(file, golden.seeded_weights(config), config)
    model = pack.module("nodes.load_checkpoint").load_model(str(file), {"dtype": torch.float32})
    compiled = model.clone(disable_dynamic=True)
    set_torch_compile_wrapper(model=compiled, backend="eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    answer = sample(compiled)
    assert torch._dynamo.utils.counters["stats"]["calls_captured"] > 100, "nothing was compiled"
    torch.testing.assert_close(answer, sample(model), rtol=1e-4, atol=1e-4)
