"""Checkpoints through the loader node: every tensor arrives, in every weight dtype, and ComfyUI has no complaint."""

from __future__ import annotations

import json
import logging
import zlib
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def numbered(name: str, shape: list[int]) -> torch.Tensor:
    """A tensor that no other name has: a short ramp from a number of its own; cheap even for millions of values."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(zlib.crc32(name.encode()) % 1000)
    size = torch.Size(shape).numel()
    ramp = torch.linspace(-1, 1, 1021) + zlib.crc32(name.encode()) % 1009 / 1009
    return ramp.half().repeat(size // len(ramp) + 1)[:size].reshape(shape)


@pytest.fixture(scope="module")
def folder(pack):
    import folder_paths

    return Path(folder_paths.get_folder_paths("diffusion_models")[0])


@pytest.mark.slow
def test_every_tensor_of_a_full_size_file_is_in_the_model(pack, folder, caplog):
    shapes = json.loads((GOLDEN / "full_size_state_dict.json").read_text())["shapes"]
    config = pack.module("m3ddm_core.unet").M3DDM_CONFIG
    path = folder / "m3ddm_full_size.safetensors"
    pack.module("m3ddm_core.checkpoint").save_checkpoint(
        path, {name: numbered(name, shape) for name, shape in shapes.items()}, config
    )
    try:
        with caplog.at_level(logging.INFO):
            (patcher,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=path.name, weight_dtype="fp16")
        loaded = patcher.model.diffusion_model.state_dict()
        assert len(loaded) == len(shapes) == 1516
        for name, shape in shapes.items():
            assert torch.equal(loaded[name], numbered(name, shape)), name
        complaints = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert not [text for text in complaints if "missing" in text or "unexpected" in text], complaints
        assert patcher.model_dtype() == torch.float16
    finally:
        path.unlink()


@pytest.mark.parametrize("weight_dtype", ["default", "fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2"])
def test_every_weight_dtype_samples(pack, golden, folder, tiny_checkpoint, weight_dtype, small_state):
    (patcher,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=tiny_checkpoint, weight_dtype=weight_dtype)
    (exact,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=tiny_checkpoint, weight_dtype="fp32")
    settings = pack.settings(steps=2, context_scale=1.0, global_scale=1.0)
    runs = [
        pack.run("M3DDM_SampleInfill", model=p, state=small_state, seed=0, settings=settings)[1]["samples"]
        for p in (patcher, exact)
    ]
    expected = pack.module("nodes.load_checkpoint").WEIGHT_DTYPES[weight_dtype]
    assert expected is None or patcher.model_dtype() == expected
    difference = golden.relative_difference(*runs)
    tolerance = {"fp8_e4m3fn": 0.3, "fp8_e5m2": 0.5, "fp16": 0.02, "bf16": 0.1}.get(weight_dtype, 1e-4)
    assert difference <= tolerance


def test_lora_style_patches_reach_the_layers(pack, model, small_state):
    """A patch on a convolution that runs reshaped, and on an attention layer, changes what comes out."""
    settings = pack.settings(steps=2, context_scale=1.0, global_scale=1.0)
    plain = pack.run("M3DDM_SampleInfill", model=model, state=small_state, seed=0, settings=settings)[1]["samples"]
    weights = model.model.state_dict()
    for name in (
        "diffusion_model.down_blocks.0.resnets.0.conv1.temporal_conv.weight",
        "diffusion_model.down_blocks.0.resnets.0.conv1.spatial_conv.weight",
        "diffusion_model.mid_block.attentions.0.proj_in2.weight",
        "diffusion_model.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        "diffusion_model.global_img_encoder.convolution.weight",
    ):
        patched = model.clone()
        assert patched.add_patches({name: ("diff", (torch.ones_like(weights[name]),))}, 0.5)
        changed = pack.run("M3DDM_SampleInfill", model=patched, state=small_state, seed=0, settings=settings)[1][
            "samples"
        ]
        assert not torch.allclose(plain, changed), name
    again = pack.run("M3DDM_SampleInfill", model=model, state=small_state, seed=0, settings=settings)[1]["samples"]
    assert torch.equal(plain, again), "patches are taken back"
