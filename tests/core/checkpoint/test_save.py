"""What is saved is read again, by others too; a failed write leaves the old file."""

from __future__ import annotations

import json
import math
import shutil
import struct
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from m3ddm_core.checkpoint import read_checkpoint, save_checkpoint
from m3ddm_core.unet import M3DDM_CONFIG
from tests.helpers.checkpoint_files import TINY, assert_same, message


def test_a_saved_file_carries_its_config(tmp_path, tiny):
    config = replace(TINY, attention_heads=4, norm_num_groups=16, norm_eps=1e-6)
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, tiny, config, {"prediction_type": "v_prediction", "steps": 12})
    checkpoint = read_checkpoint(path)
    assert checkpoint.config == config
    assert checkpoint.prediction_type == "v_prediction"
    assert checkpoint.metadata == {
        "format": "m3ddm",
        "attention_heads": "4",
        "norm_num_groups": "16",
        "norm_eps": "1e-06",
        "prediction_type": "v_prediction",
        "steps": "12",
    }


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float16, torch.bfloat16])
def test_other_programs_read_what_is_saved(tmp_path, tiny, dtype):
    path = tmp_path / "m.safetensors"
    seen = []
    save_checkpoint(path, tiny, TINY, dtype=dtype, progress=lambda done, total: seen.append((done, total)))
    expected = {n: t if n.endswith("num_batches_tracked") else t.to(dtype or t.dtype) for n, t in tiny.items()}
    assert_same(safetensors.torch.load_file(path), expected)
    total = sum(t.numel() * t.element_size() for t in expected.values())
    assert len(seen) == len(tiny)
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)
    # Every tensor starts on a multiple of its element, or mapping the file would be slow or impossible.
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    widths = {"I64": 8, "F32": 4, "F16": 2, "BF16": 2}
    assert all(h["data_offsets"][0] % widths[h["dtype"]] == 0 for n, h in header.items() if n != "__metadata__")


def test_strided_and_expanded_tensors_are_saved_by_value(tmp_path, tiny):
    odd = {name: tensor.transpose(0, -1).contiguous().transpose(0, -1) for name, tensor in tiny.items() if tensor.ndim}
    odd = {**tiny, **odd, "conv_in.bias": torch.tensor(0.5).expand(32)}
    save_checkpoint(tmp_path / "m.safetensors", odd, TINY)
    assert_same(read_checkpoint(tmp_path / "m.safetensors").state_dict, odd)


def test_a_failed_write_leaves_the_old_file(tmp_path, tiny):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")

    def interrupt(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, tiny, TINY, progress=interrupt)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (math.nan, None, "conv_in.bias with values that are not finite"),
        (math.inf, torch.float16, "conv_in.bias with values that are not finite"),
        (1e5, torch.float16, "conv_in.bias with values up to 100000, expected at most 65504 in float16"),
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path, tiny, value, dtype, said):
    broken = {**tiny, "conv_in.bias": torch.full((32,), value)}
    assert said in message(save_checkpoint, tmp_path / "m.safetensors", broken, TINY, dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_only_the_configs_network_is_saved(tmp_path, tiny):
    text = message(save_checkpoint, tmp_path / "m.safetensors", tiny, M3DDM_CONFIG)
    assert "conv_in.weight (got (32, 9, 1, 3, 3), expected (320, 9, 1, 3, 3))" in text
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_before_writing(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    text = message(save_checkpoint, tmp_path / "m.safetensors", tiny, TINY)
    assert "got 1,000 bytes free on the disk of m.safetensors, expected at least 19.4 MB" in text
