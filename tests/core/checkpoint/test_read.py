"""Every container is read alike, damage is told, and nothing in a pickle ever runs."""

from __future__ import annotations

import json
import math
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from m3ddm_core.checkpoint import check_file, read_checkpoint, read_tensors
from m3ddm_core.checkpoint.finite import is_finite
from tests.helpers.checkpoint_files import (
    TINY,
    assert_same,
    message,
    write_bin,
    write_bin_folder,
    write_folder,
    write_legacy_bin,
    write_lightning,
    write_ours,
    write_pipeline,
    write_safetensors,
    write_shards,
)


@pytest.mark.parametrize(
    ("write", "source"),
    [
        (write_safetensors, "safetensors file"),
        (write_ours, "safetensors file"),
        (write_bin, "PyTorch pickle"),
        (write_legacy_bin, "PyTorch pickle"),
        (write_lightning, "PyTorch pickle"),
        (write_folder, "diffusers folder"),
        (write_bin_folder, "diffusers folder"),
        (write_pipeline, "diffusers folder"),
        (write_shards, "diffusers folder"),
    ],
)
def test_every_container_gives_the_same_tensors(tmp_path, tiny, write, source):
    checkpoint = read_checkpoint(write(tmp_path, tiny))
    assert_same(checkpoint.state_dict, tiny)
    assert checkpoint.config == TINY
    assert checkpoint.source == source


def test_names_of_files_do_not_decide(tmp_path, tiny):
    path = write_bin(tmp_path, tiny).rename(tmp_path / "m.safetensors")
    assert check_file(path) == "PyTorch pickle"
    assert_same(read_checkpoint(path).state_dict, tiny)


def test_config_json_counts_heads(tmp_path, tiny):
    config = read_checkpoint(write_folder(tmp_path, tiny, attention_head_dim=4, norm_eps=1e-6)).config
    assert (config.attention_heads, config.norm_eps) == (4, 1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"block_out_channels": [320, 640, 1280, 1280]}, "block_out_channels = (320, 640, 1280, 1280) in config.json"),
        ({"layers_per_block": 3}, "layers_per_block = 3 in config.json, expected 2"),
        ({"attention_head_dim": [5, 10]}, "attention_heads = '[5, 10]'"),
    ],
)
def test_config_json_of_another_network_is_refused(tmp_path, tiny, changes, said):
    assert said in message(read_checkpoint, write_folder(tmp_path, tiny, **changes))


def test_shards_stay_inside_their_folder(tmp_path, tiny):
    folder = tmp_path / "model"
    folder.mkdir()
    write_shards(folder, tiny)
    (tmp_path / "other.bin").write_bytes(b"\x80secret")
    index = {"weight_map": {"conv_in.weight": "../other.bin"}}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert f"{folder / 'other.bin'}: got nothing" in message(read_checkpoint, folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "got a folder without config.json"),
        ("{}", "expected config.json and diffusion_pytorch_model.safetensors"),
        ("not json", "a file that is not JSON"),
        ("[]", "JSON that is no object"),
    ],
)
def test_folders_without_a_network(tmp_path, content, said):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert said in message(read_checkpoint, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2598750000\n",
            "a Git LFS pointer of 73 bytes",
        ),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b"\n <html><head></head></html>", "a web page"),
        (b"GGUF\x03\x00\x00\x00", "a GGUF file"),
        (b'{"error": "not found"}', "neither safetensors nor a PyTorch file (it begins b'{\"error\"')"),
        (b"\x00" * 64, "neither safetensors nor a PyTorch file"),
        (struct.pack("<Q", 4) + b"{..}", "a damaged header"),
        (struct.pack("<Q", 2) + b"{}", "without any tensors"),
        (b"\x80\x02garbage", "a PyTorch file that cannot be read"),
        (b"\x80", "a PyTorch file that cannot be read"),
    ],
)
@pytest.mark.parametrize("name", ["m.bin", "m.safetensors"])
def test_files_that_are_no_checkpoints(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    text = message(read_checkpoint, path)
    assert said in text
    assert text.startswith(f"{name}: ")


@pytest.mark.parametrize("first", [0x80, 0x50])
def test_a_safetensors_file_may_begin_like_a_pickle(tmp_path, tiny, first):
    path = write_safetensors(tmp_path, tiny)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    padding = (first - length) % 256
    header = content[8 : 8 + length] + b" " * padding
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
    assert path.read_bytes()[0] == first
    assert_same(read_checkpoint(path).state_dict, tiny)


def test_torchs_advice_to_drop_the_safeguard_is_not_passed_on(tmp_path):
    (tmp_path / "m.bin").write_bytes(b"\x80\x02garbage")
    assert "weights_only" not in message(read_checkpoint, tmp_path / "m.bin")


def test_no_such_file(tmp_path):
    assert f"{tmp_path / 'absent.bin'}: got nothing" in message(read_checkpoint, tmp_path / "absent.bin")
    assert "got a folder" in message(check_file, tmp_path)


@pytest.mark.parametrize("kept", [6, 300, 100_000, -1])
@pytest.mark.parametrize("write", [write_safetensors, write_bin, write_legacy_bin])
def test_truncated_downloads(tmp_path, tiny, write, kept):
    path = write(tmp_path, tiny)
    content = path.read_bytes()[:kept]
    path.write_bytes(content)
    text = message(read_checkpoint, path)
    if write is write_safetensors and kept != 6:
        assert f"got {len(content):,} bytes of a safetensors file, expected" in text
        assert "truncated download" in text
    if write is write_bin:
        assert f"({len(content):,} bytes: it is no whole archive)" in text
    assert "download it again" in text


def test_a_damaged_archive_directory(tmp_path, tiny):
    path = write_bin(tmp_path, tiny)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 46] = 0xFF  # the first letter of the last entry's name
    content[entry + 9] |= 0x08  # says that the name is UTF-8
    path.write_bytes(content)
    assert "no whole archive" in message(read_checkpoint, path)


def test_an_ordinary_zip_is_no_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.bin", "w") as archive:
        archive.writestr("diffusion_pytorch_model.bin", b"x")
    assert "an ordinary zip archive" in message(read_checkpoint, tmp_path / "m.bin")


class Trap:
    """Makes a folder when unpickled carelessly."""

    def __init__(self, folder: Path):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, tiny, zipped, wrapped):
    sprung = tmp_path / "sprung"
    path = tmp_path / "m.ckpt"
    trap = {"conv_in.weight": tiny["conv_in.weight"], "callbacks": Trap(sprung)}
    torch.save({"state_dict": trap} if wrapped else trap, path, _use_new_zipfile_serialization=zipped)
    text = message(read_checkpoint, path)
    assert "holds code or objects (" in text
    assert "mkdir" in text
    assert not sprung.exists()
    # The trap is a real one: what it asks a careless reader to call does spring it.
    function, arguments = Trap(sprung).__reduce__()
    function(*arguments)
    assert sprung.is_dir()


def test_a_bare_malicious_pickle_is_refused(tmp_path):
    (tmp_path / "m.pt").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    message(read_checkpoint, tmp_path / "m.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("write", [write_bin, write_lightning])
def test_packed_archives_are_read_by_value(tmp_path, tiny, write):
    """Mapped as if they were not packed, their tensors would be garbage, and nobody would be told."""
    path = write(tmp_path, tiny)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    assert_same(read_checkpoint(path).state_dict, tiny)


@pytest.mark.parametrize("mapped", [True, False])
def test_writing_to_a_tensor_leaves_its_file_alone(tmp_path, tiny, mapped):
    path = write_bin(tmp_path, tiny)
    content = path.read_bytes()
    for tensor in read_checkpoint(path, mapped=mapped).state_dict.values():
        tensor.zero_()
    assert path.read_bytes() == content


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("write", [write_safetensors, write_bin, write_legacy_bin, write_folder])
def test_weights_that_are_no_numbers_are_named(tmp_path, tiny, write, value):
    broken = {name: tiny[name].clone() for name in tiny}
    broken["conv_in.weight"][3, 2, 0, 1, 1] = value
    broken["conv_out.temporal_conv.bias"][-1] = value
    text = message(read_checkpoint, write(tmp_path, broken))
    assert "got conv_in.weight and 1 more with values that are not finite" in text


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_one_value_among_many_is_found(dtype, size):
    tensor = torch.linspace(-300, 300, size).to(dtype)
    assert is_finite(tensor)
    for value in (math.nan, math.inf, -math.inf):
        broken = tensor.clone()
        broken[size // 2] = value
        assert not is_finite(broken)


def test_large_numbers_are_finite():
    assert is_finite(torch.full((1000,), 65504.0, dtype=torch.float16))
    assert is_finite(torch.full((1000,), torch.finfo(torch.float32).max))
    assert is_finite(torch.zeros(0)) and is_finite(torch.tensor(5))


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_kind_are_read_as_torch_reads_them(tmp_path, dtype, zipped):
    whole = torch.arange(24).reshape(2, 3, 4).to(dtype)
    content = {
        "whole": whole,
        "turned": whole.transpose(0, 2),
        "part": whole[:, 1:, ::2],
        "one": whole[0, 0, 0],
        "none": whole[:0],
        "parameter": torch.nn.Parameter(whole.float(), requires_grad=dtype == torch.float32),
        "nested": {"again": whole, "list": [1, "a", None, 2.5, True]},
        7: whole,
    }
    torch.save(content, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    found = read_tensors(tmp_path / "m.pt").tree
    expected = torch.load(tmp_path / "m.pt", weights_only=True)
    assert found.keys() == expected.keys() and found["nested"]["list"] == expected["nested"]["list"]
    for name in ("whole", "turned", "part", "one", "none", "parameter", 7):
        assert found[name].dtype == expected[name].dtype
        assert torch.equal(found[name], expected[name]), name


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_numbers_of_eight_bits_are_read(tmp_path, dtype):
    tensor = torch.linspace(-2, 2, 12).to(dtype)
    torch.save({"a": tensor}, tmp_path / "m.pt")
    found = read_tensors(tmp_path / "m.pt").tree["a"]
    assert found.dtype == dtype and torch.equal(found.float(), tensor.float())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickles_is_read(tmp_path, tiny, protocol):
    torch.save(tiny, tmp_path / "m.pt", pickle_protocol=protocol)
    assert_same(read_checkpoint(tmp_path / "m.pt").state_dict, tiny)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="a superuser may read everything")
def test_a_file_without_permission_is_told(tmp_path, tiny):
    path = write_safetensors(tmp_path, tiny)
    path.chmod(0)
    assert "m.safetensors: got a file that cannot be opened (Permission denied)" in message(read_checkpoint, path)


def test_a_file_that_cannot_be_opened_is_told(tmp_path, tiny, monkeypatch):
    path = write_safetensors(tmp_path, tiny)

    def refuse(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert "m.safetensors: got a file that cannot be opened (Permission denied)" in message(read_checkpoint, path)
