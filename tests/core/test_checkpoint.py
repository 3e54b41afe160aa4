"""Checkpoints: every container read alike, every wrong file named for what it is, nothing in a pickle ever run."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import pickle
import shutil
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from m3ddm_core.checkpoint import (
    CheckpointError,
    build_unet,
    check_file,
    check_state_dict,
    config_from_state_dict,
    expected_shapes,
    normalise,
    read_checkpoint,
    save_checkpoint,
)
from m3ddm_core.unet import M3DDM_CONFIG

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FULL = json.loads((GOLDEN / "full_size_state_dict.json").read_text())
TINY = replace(M3DDM_CONFIG, block_out_channels=(32, 32, 64, 64))
FAMILY = {"attention_head_dim": 8, "norm_num_groups": 32, "norm_eps": 1e-5}


def load_seeded_weights():
    spec = importlib.util.spec_from_file_location("seeded_weights", GOLDEN / "seeded_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tiny() -> dict[str, torch.Tensor]:
    arrays = load_seeded_weights().seeded_state_dict(expected_shapes(TINY))
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


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


# Sizes


def test_published_shapes_are_those_of_the_network():
    assert {name: list(shape) for name, shape in expected_shapes(M3DDM_CONFIG).items()} == FULL["shapes"]


def test_published_state_dict_gives_the_published_config():
    checkpoint = normalise(full_size())
    assert checkpoint.config == M3DDM_CONFIG
    assert checkpoint.parameters == FULL["parameters"]
    assert len(checkpoint.state_dict) == 1516
    assert checkpoint.dtype == torch.float16
    assert checkpoint.prediction_type == "epsilon"
    assert (checkpoint.prefix, checkpoint.ignored) == ("", 0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"block_out_channels": (32, 64, 96)},
        {"layers_per_block": 1},
        {"cross_attention_dim": 96},
        {"in_channels": 33, "out_channels": 16},
    ],
    ids=str,
)
def test_config_comes_from_shapes(changes):
    config = replace(TINY, **changes)
    state_dict = {name: torch.zeros(()).expand(shape) for name, shape in expected_shapes(config).items()}
    assert config_from_state_dict(state_dict) == config


def test_heads_groups_and_eps_come_from_metadata(tiny):
    config = config_from_state_dict(tiny, {"attention_heads": "4", "norm_num_groups": "16", "norm_eps": "1e-06"})
    assert (config.attention_heads, config.norm_num_groups, config.norm_eps) == (4, 16, 1e-6)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("attention_heads", "many", "attention_heads = 'many'"),
        ("attention_heads", "0", "attention_heads = '0'"),
        ("attention_heads", "7", r"attention_heads = 7 and widths (32, 32, 64, 64)"),
        ("norm_num_groups", "24", r"norm_num_groups = 24 and widths (32, 32, 64, 64)"),
        ("norm_eps", "-1e-5", "norm_eps = '-1e-5'"),
        ("norm_eps", "nan", "norm_eps = 'nan'"),
        ("prediction_type", "sample", "prediction_type = 'sample', expected epsilon or v_prediction"),
    ],
)
def test_impossible_metadata_is_refused(tiny, key, value, said):
    assert said in message(normalise, tiny, {key: value})


def test_prediction_type_is_read(tiny):
    assert normalise(tiny, {"prediction_type": "v_prediction"}).prediction_type == "v_prediction"


def test_a_network_for_another_task_is_refused():
    config = replace(TINY, in_channels=4)
    state_dict = {name: torch.zeros(()).expand(shape) for name, shape in expected_shapes(config).items()}
    assert "4 channels in and 4 out, expected 9 in" in message(normalise, state_dict)


# Wrappers and prefixes


@pytest.mark.parametrize(
    "prefix",
    ["", "model.unet.", "unet.", "module.", "model.diffusion_model.", "diffusion_model.", "_orig_mod.", "a.b.c."],
)
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "module"])
def test_prefixes_and_wrappers_are_stripped(tiny, prefix, wrapper):
    raw = with_prefix(tiny, prefix)
    checkpoint = normalise({wrapper: raw, "epoch": 3} if wrapper else raw)
    assert_same(checkpoint.state_dict, tiny)
    assert checkpoint.prefix == (f"{wrapper}." if wrapper else "") + prefix
    assert checkpoint.config == TINY


@pytest.mark.parametrize("ours", ["", "model.unet."])
@pytest.mark.parametrize("theirs", ["ema.", "model_ema.", "model.unet_ema."])
def test_averages_are_left_out(tiny, ours, theirs):
    averages = {name: torch.full_like(tensor, 7) for name, tensor in tiny.items()}
    checkpoint = normalise({**with_prefix(averages, theirs), **with_prefix(tiny, ours)})
    assert_same(checkpoint.state_dict, tiny)
    assert checkpoint.ignored == len(tiny)


def test_averages_are_used_where_there_is_nothing_else(tiny):
    checkpoint = normalise(with_prefix(tiny, "ema."))
    assert_same(checkpoint.state_dict, tiny)


def test_what_lies_beside_a_prefixed_network_is_ignored(tiny):
    raw = {**with_prefix(tiny, "model.unet."), "model.vae.encoder.conv_in.weight": torch.zeros(8, 3, 3, 3)}
    checkpoint = normalise({"state_dict": raw, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}})
    assert_same(checkpoint.state_dict, tiny)
    assert checkpoint.ignored == 2


def test_normalise_leaves_its_input_alone(tiny):
    raw = with_prefix(tiny, "unet.")
    names = list(raw)
    normalise(raw)
    assert list(raw) == names


def test_halved_counters_are_integers_again(tiny):
    halved = {name: tensor.half() for name, tensor in tiny.items()}
    counters = {n: t for n, t in normalise(halved).state_dict.items() if n.endswith("num_batches_tracked")}
    assert len(counters) == 35
    assert {t.dtype for t in counters.values()} == {torch.int64}


# Strictness


def test_missing_unexpected_and_misshaped_tensors_are_named(tiny):
    broken = dict(tiny)
    gone = [name for name in tiny if name.startswith("mid_block.resnets.0.")]
    for name in gone:
        del broken[name]
    broken["extra.weight"] = torch.zeros(2)
    broken["conv_in.bias"] = torch.zeros(33)
    text = message(normalise, broken)
    assert f"{len(gone)} missing: {', '.join(gone[:5])}, ..." in text
    assert gone[5] not in text
    assert "1 unexpected: extra.weight\n" in text
    assert "1 of another shape: conv_in.bias (got (33,), expected (32,))" in text
    assert f"got {len(broken):,} tensors, expected {len(tiny):,}" in text
    assert "M3DDM network that is incomplete or was changed" in text


def test_one_damaged_width_does_not_change_the_network(tiny):
    broken = {**tiny, "down_blocks.2.resnets.0.norm2.bias": torch.zeros(48)}
    text = message(normalise, broken)
    assert "1 of another shape: down_blocks.2.resnets.0.norm2.bias (got (48,), expected (64,))" in text
    assert "missing" not in text


def test_counters_have_to_be_there(tiny):
    bare = {name: tensor for name, tensor in tiny.items() if not name.endswith("num_batches_tracked")}
    assert "35 missing: global_img_encoder" in message(normalise, bare)


def test_whole_numbers_are_no_weights(tiny):
    quantised = {**tiny, "conv_in.weight": tiny["conv_in.weight"].to(torch.int8)}
    assert "1 not floating point: conv_in.weight (got int8)" in message(normalise, quantised)


def test_check_needs_no_config(tiny):
    check_state_dict(tiny)
    assert "1,515" in message(check_state_dict, {n: t for n, t in full_size().items() if n != "conv_norm_out.bias"})


@pytest.mark.parametrize("level", range(4))
def test_a_lost_level_is_reported_not_guessed(tiny, level):
    broken = {name: tensor for name, tensor in tiny.items() if f"down_blocks.{level}." not in name}
    assert f"\n  {len(tiny) - len(broken)} missing: down_blocks.{level}." in message(normalise, broken)


@pytest.mark.parametrize("raw", [[1, 2], "text", torch.zeros(3), None], ids=["list", "str", "tensor", "none"])
def test_only_dicts_hold_networks(raw):
    assert type(raw).__name__ in message(normalise, raw)


# Other kinds of files

SD_LDM = {
    "input_blocks.0.0.weight": (320, 4, 3, 3),
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "out.2.weight": (4, 320, 3, 3),
}
SD_DIFFUSERS = {
    "conv_in.weight": (320, 4, 3, 3),
    "time_embedding.linear_1.weight": (1280, 320),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3),
}
VAE_LDM = {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}
CLIP = {"text_model.encoder.layers.0.self_attn.k_proj.weight": (768, 768)}
KINDS = [
    ("a plain Stable Diffusion 1.5 U-Net in ldm form", SD_LDM),
    ("a plain Stable Diffusion 1.5 U-Net in ldm form", {f"model.diffusion_model.{n}": s for n, s in SD_LDM.items()}),
    (
        "a plain Stable Diffusion 1.5 U-Net (inpainting variant) in ldm form",
        {**SD_LDM, "input_blocks.0.0.weight": (320, 9, 3, 3)},
    ),
    ("a plain Stable Diffusion 1.5 U-Net in diffusers form", SD_DIFFUSERS),
    (
        "a plain Stable Diffusion 2.x U-Net in diffusers form",
        {**SD_DIFFUSERS, "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
    ),
    (
        "a full Stable Diffusion checkpoint",
        {
            **{f"model.diffusion_model.{n}": s for n, s in SD_LDM.items()},
            **{f"first_stage_model.{n}": s for n, s in VAE_LDM.items()},
            **{f"cond_stage_model.transformer.{n}": s for n, s in CLIP.items()},
        },
    ),
    ("a full SDXL checkpoint", {**SD_LDM, "conditioner.embedders.0.transformer.x": (1,), "label_emb.0.0.weight": (1,)}),
    ("an SDXL U-Net", {**SD_LDM, "label_emb.0.0.weight": (1280, 2816)}),
    ("an SDXL U-Net", {**SD_DIFFUSERS, "add_embedding.linear_1.weight": (1280, 2816)}),
    ("a VAE", VAE_LDM),
    ("a VAE", {f"first_stage_model.{n}": s for n, s in VAE_LDM.items()}),
    ("a VAE", {"encoder.layers.0.weight": (64, 3, 3, 3), "decoder.layers.1.weight": (64, 4, 3, 3)}),
    ("a VAE", {"taesd_decoder.1.weight": (64, 4, 3, 3)}),
    ("a LoRA", {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 320, 1, 1)}),
    ("a LoRA", {"unet.down_blocks.0.attentions.0.to_q.lora_A.weight": (4, 320)}),
    ("a text or image encoder", CLIP),
    ("a text or image encoder", {"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096)}),
    ("an AnimateDiff motion module", {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}),
    ("a ControlNet", {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), **SD_LDM}),
    ("a Stable Video Diffusion U-Net", {**SD_LDM, "input_blocks.1.1.time_stack.0.norm1.weight": (320,)}),
    ("a text-to-video U-Net", {**SD_DIFFUSERS, "down_blocks.0.temp_convs.0.conv1.0.weight": (320,)}),
    ("a diffusion transformer", {"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}),
    ("a diffusion transformer", {"blocks.0.self_attn.q.weight": (1536, 1536)}),
    ("a model unknown here (its first tensors: body.0.weight)", {"body.0.weight": (64, 3, 3, 3)}),
    ("a file without any tensors", {}),
]


@pytest.mark.parametrize(("name", "shapes"), KINDS)
def test_other_kinds_are_recognised(name, shapes):
    text = message(normalise, {n: torch.zeros(()).expand(s) for n, s in shapes.items()})
    assert f"It looks like {name}" in text
    assert f"got {len(shapes):,} tensors, expected 1,516" in text


def test_a_wrong_file_is_named_with_its_remedy(tmp_path):
    path = tmp_path / "vae-ft-mse.safetensors"
    safetensors.torch.save_file({"encoder.conv_in.weight": torch.zeros(128, 3, 3, 3)}, path)
    text = message(read_checkpoint, path)
    assert text.startswith("vae-ft-mse.safetensors: not an M3DDM checkpoint: got 1 tensors, expected 1,516")
    assert "1,516 missing: conv_in.weight, conv_in.bias" in text
    assert "1 unexpected: encoder.conv_in.weight" in text
    assert "Load it as the VAE" in text


# Containers


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


# Files that are no checkpoints


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
        assert f"({len(content):,} bytes, no whole archive)" in text
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


# Saving


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
    assert "got 0.0 GB free" in message(save_checkpoint, tmp_path / "m.safetensors", tiny, TINY)


# The network


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_build_unet_loads_every_tensor(tiny, dtype):
    network = build_unet(normalise(tiny, {"norm_eps": "1e-06"}), dtype=dtype)
    assert_same(
        network.state_dict(),
        {n: t if n.endswith("num_batches_tracked") else t.to(dtype or t.dtype) for n, t in tiny.items()},
    )
    assert network.config == replace(TINY, norm_eps=1e-6)
    assert not network.training
    assert network.dtype == (dtype or torch.float32)
    # Storage is made without initial values: a buffer outside the state dict would stay uninitialised.
    assert {name for name, _ in network.named_buffers()} <= set(tiny)


def test_a_built_network_outlives_its_file(tmp_path, tiny):
    path = write_safetensors(tmp_path, tiny)
    network = build_unet(read_checkpoint(path))
    path.write_bytes(b"\x00" * path.stat().st_size)
    assert_same(network.state_dict(), tiny)
