"""What a state dict holds is found, checked against the published network, and built."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from m3ddm_core.checkpoint import (
    build_unet,
    check_state_dict,
    config_from_state_dict,
    expected_shapes,
    normalise,
    read_checkpoint,
)
from m3ddm_core.unet import M3DDM_CONFIG
from tests.helpers.checkpoint_files import FULL, TINY, assert_same, full_size, message, with_prefix, write_safetensors


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
    assert "1 unexpected: extra.weight; " in text
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
    assert f"({len(tiny) - len(broken)} missing: down_blocks.{level}." in message(normalise, broken)


@pytest.mark.parametrize("raw", [[1, 2], "text", torch.zeros(3), None], ids=["list", "str", "tensor", "none"])
def test_only_dicts_hold_networks(raw):
    assert type(raw).__name__ in message(normalise, raw)


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
