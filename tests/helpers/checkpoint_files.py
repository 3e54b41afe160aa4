"""Checkpoints to test with: every container, written around the same tensors."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from m3ddm_core.checkpoint import CheckpointError, expected_shapes, save_checkpoint
from m3ddm_core.unet import M3DDM_CONFIG, UNetConfig

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FULL = json.loads((GOLDEN / "full_size_state_dict.json").read_text())
TINY = replace(M3DDM_CONFIG, block_out_channels=(32, 32, 64, 64))
NARROW = replace(
    M3DDM_CONFIG,
    block_out_channels=(8, 8),
    layers_per_block=1,
    cross_attention_dim=8,
    attention_heads=2,
    norm_num_groups=4,
)
"""For runs in which it is of no account what is sampled: a fifth of the work of `TINY`."""
FAMILY = {"attention_head_dim": 8, "norm_num_groups": 32, "norm_eps": 1e-5}


def load_seeded_weights():
    spec = importlib.util.spec_from_file_location("seeded_weights", GOLDEN / "seeded_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seeded(config: UNetConfig) -> dict[str, torch.Tensor]:
    """A network's state dict with seeded weights."""
    arrays = load_seeded_weights().seeded_state_dict(expected_shapes(config))
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def write_narrow(path: Path) -> None:
    """Write `NARROW` with seeded weights."""
    save_checkpoint(path, seeded(NARROW), NARROW)


def full_size(dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """The published names and shapes, each tensor one stored element."""
    return {
        name: torch.zeros((), dtype=torch.int64 if name.endswith("num_batches_tracked") else dtype).expand(shape)
        for name, shape in FULL["shapes"].items()
    }


def assert_same(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert got.keys() == expected.keys()
    different = [n for n in expected if got[n].dtype != expected[n].dtype or not torch.equal(got[n], expected[n])]
    assert different == []


def with_prefix(state_dict: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state_dict.items()}


def message(call, *arguments, **options) -> str:
    with pytest.raises(CheckpointError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def write_safetensors(folder: Path, state_dict) -> Path:
    safetensors.torch.save_file(state_dict, folder / "m.safetensors")
    return folder / "m.safetensors"


def write_bin(folder: Path, state_dict) -> Path:
    torch.save(state_dict, folder / "m.bin")
    return folder / "m.bin"


def write_legacy_bin(folder: Path, state_dict) -> Path:
    torch.save(state_dict, folder / "m.pth", _use_new_zipfile_serialization=False)
    return folder / "m.pth"


def write_lightning(folder: Path, state_dict) -> Path:
    trainer = {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.2.0",
        "state_dict": with_prefix(state_dict, "model.unet."),
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 1e-4},
    }
    torch.save(trainer, folder / "m.ckpt")
    return folder / "m.ckpt"


def write_folder(folder: Path, state_dict, suffix: str = ".safetensors", **changes) -> Path:
    config = {"in_channels": 9, "out_channels": 4, "block_out_channels": [32, 32, 64, 64], **FAMILY, **changes}
    (folder / "config.json").write_text(json.dumps(config))
    path = folder / f"diffusion_pytorch_model{suffix}"
    if suffix == ".bin":
        torch.save(state_dict, path)
    else:
        safetensors.torch.save_file(state_dict, path)
    return folder


def write_bin_folder(folder: Path, state_dict) -> Path:
    return write_folder(folder, state_dict, ".bin")


def write_pipeline(folder: Path, state_dict) -> Path:
    (folder / "unet").mkdir()
    write_folder(folder / "unet", state_dict)
    return folder


def write_shards(folder: Path, state_dict) -> Path:
    write_folder(folder, {})
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    names = list(state_dict)
    weight_map = {}
    for number, part in enumerate((names[:700], names[700:])):
        file = f"diffusion_pytorch_model-{number}.safetensors"
        safetensors.torch.save_file({name: state_dict[name] for name in part}, folder / file)
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def write_ours(folder: Path, state_dict) -> Path:
    save_checkpoint(folder / "m.safetensors", state_dict, TINY)
    return folder / "m.safetensors"
