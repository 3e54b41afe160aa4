"""What fills the border: fills, the model, and how methods are written on the command line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from m3ddm_core.checkpoint import expected_shapes, read_checkpoint, save_checkpoint
from m3ddm_core.evaluation import methods
from m3ddm_core.evaluation.methods import FILLS, Fill, Model, ModelSettings, parse_method
from m3ddm_core.evaluation.protocol import Case
from m3ddm_core.models import Models, load_models, load_network
from m3ddm_core.sampling.advice import Advice
from m3ddm_core.sampling.clip import ClipConditions
from m3ddm_core.sampling.pndm import pndm_timesteps
from m3ddm_core.sampling.schedule import add_noise, signal_shares
from m3ddm_core.sampling.settings import PRESETS, SamplingSettings
from m3ddm_core.unet import M3DDM_CONFIG
from tests.helpers.block_vae import BlockVAE
from tests.helpers.golden_files import seeded_network, seeded_weights
from tests.helpers.moving_clips import moving_clip


def whole_frames(clip):
    """What a method may ask for as guide frames."""
    return lambda numbers: clip.frames[list(numbers)]


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
@pytest.mark.parametrize("name", FILLS)
def test_a_fill_keeps_what_is_known(name, direction):
    clip, case = moving_clip(0), Case(direction, 0.5)
    placement = case.place(32)
    result = Fill(name)(clip.known(placement), placement, 10.0, lambda share: None, whole_frames(clip))
    assert result.shape == clip.frames.shape and result.dtype == np.uint8
    filled = clip.regions(placement)["filled"]
    np.testing.assert_array_equal(result[:, ~filled], clip.frames[:, ~filled])
    assert (result[:, filled] != 0).any()


def test_edge_repeats_the_pixels_at_the_edge():
    clip, placement = moving_clip(0), Case("horizontal", 0.5).place(32)
    result = Fill("edge")(clip.known(placement), placement, 10.0, lambda share: None, whole_frames(clip))
    assert (result[:, :, :8] == clip.frames[:, :, 8:9]).all() and (result[:, :, 24:] == clip.frames[:, :, 23:24]).all()


def run_model(clip, settings, share=lambda share: None):
    """A sampler that brightens the start latents by a tenth, and tells the frame rate it is given."""
    told = []

    def sample(conditions, start, noise, callback):
        told.append(conditions.fps)
        callback(0, 1, start)
        return start + 0.1

    placement = Case("horizontal", 0.5).place(32)
    models = Models(BlockVAE.encode, BlockVAE.decode, lambda settings, seed: sample, lambda *_: 1)
    method = Model("model", settings, "weights", lambda: models)
    return method(clip.known(placement), placement, clip.fps, share, whole_frames(clip)), told


def test_the_model_fills_the_border_and_keeps_the_rest():
    clip, shares = moving_clip(0), []
    result, told = run_model(clip, ModelSettings(fill="smooth"), shares.append)
    np.testing.assert_array_equal(result[:, :, 8:24], clip.frames[:, :, 8:24])
    placement = Case("horizontal", 0.5).place(32)
    smooth = Fill("smooth")(clip.known(placement), placement, 10.0, lambda share: None, whole_frames(clip))
    blocks = smooth[:, :8, :8].astype(float).mean((1, 2))
    np.testing.assert_allclose(result[:, 3, 3], np.minimum(blocks + 25.5, 255), atol=1)
    assert shares == [1] and told == [10]


def test_guide_frames_are_the_truth_and_the_others_are_sampled():
    clip = moving_clip(0)
    result, _ = run_model(clip, ModelSettings(fill="smooth", guides="0 -1"))
    plain, _ = run_model(clip, ModelSettings(fill="smooth"))
    blocks = clip.frames[[0, -1], :8, :8].astype(float).mean((1, 2))
    np.testing.assert_allclose(result[[0, -1], 3, 3], blocks, atol=1)
    np.testing.assert_array_equal(result[1:-1], plain[1:-1])
    with pytest.raises(ValueError, match="6 frames"):
        run_model(clip, ModelSettings(guides="9"))


def test_the_border_is_blended_as_asked():
    clip = moving_clip(0)
    hard, blended = (
        run_model(clip, ModelSettings(fill="smooth", **options))[0]
        for options in ({}, {"colour_match": "steady", "blend": "gradient"})
    )
    for result in (hard, blended):
        np.testing.assert_array_equal(result[:, :, 8:24], clip.frames[:, :, 8:24])
    step = [np.abs(result[:, :, 7].astype(float) - clip.frames[:, :, 8]).mean() for result in (hard, blended)]
    assert step[1] < step[0] / 2
    feathered, _ = run_model(clip, ModelSettings(fill="smooth", feather=4))
    assert (feathered[:, :, 8:11] != clip.frames[:, :, 8:11]).any()
    np.testing.assert_array_equal(feathered[:, :, 12:20], clip.frames[:, :, 12:20])


def test_strides_are_the_lengths_own_unless_given():
    clip = moving_clip(0, frames=50)
    assert set(run_model(clip, ModelSettings(fill="smooth"))[1]) == {0, 2, 10}
    shares = []
    assert set(run_model(clip, ModelSettings(fill="smooth", strides=(5, 1)), shares.append)[1]) == {2, 10}
    assert shares[-1] == 1 and shares == sorted(shares)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint as small as they get, and a file that only has to be there."""
    folder = tmp_path_factory.mktemp("weights")
    config = dataclasses.replace(M3DDM_CONFIG, block_out_channels=(32, 32, 32, 32))
    tensors = {
        name: torch.zeros(shape, dtype=torch.int64 if name.endswith("tracked") else torch.float32)
        for name, shape in expected_shapes(config).items()
    }
    save_checkpoint(folder / "tiny.safetensors", tensors, config)
    (folder / "vae.safetensors").write_bytes(b"vae")
    return {"checkpoint": str(folder / "tiny.safetensors"), "vae": str(folder / "vae.safetensors")}


def test_settings_are_read(files):
    method = parse_method("m3ddm:steps=10,global_scale=1.5,strides=15-5-1,seed=7,name=few steps", files)
    assert method.label == "few steps"
    assert method.settings == ModelSettings(
        **files, sampling=SamplingSettings().changed({"steps": 10, "global_scale": 1.5}), strides=(15, 5, 1), seed=7
    )
    assert method.description.startswith("checkpoint tiny.safetensors, vae vae.safetensors, ")
    assert ", steps 10, " in method.description
    assert parse_method("m3ddm", files).settings == ModelSettings(**files)


def test_a_preset_sets_several_and_gives_way_to_what_is_said(files):
    plain = parse_method("m3ddm:preset=balanced", files)
    assert plain.settings == ModelSettings(**files, sampling=PRESETS["balanced"])
    longer = parse_method("m3ddm:steps=30,preset=balanced,guidance_start=0.1,context_scale=3", files).settings
    assert longer.sampling == PRESETS["balanced"].changed({"steps": 30, "guidance_start": 0.1, "context_scale": 3.0})
    spelled = "m3ddm:sampler=dpmpp_2m,scheduler=karras,steps=15,unconditional_every=2"
    assert parse_method(spelled, files).identity == plain.identity


def test_the_checkpoints_own_settings_are_read_from_its_file(files, tmp_path):
    advised = SamplingSettings().changed({"steps": 4, "sampler": "ddim", "global_scale": 1.0})
    checkpoint = read_checkpoint(files["checkpoint"])
    path = tmp_path / "advised.safetensors"
    save_checkpoint(path, checkpoint.state_dict, checkpoint.config, Advice(advised).metadata())
    given = {**files, "checkpoint": str(path)}
    method = parse_method("m3ddm:preset=checkpoint,denoise=0.5", given)
    assert method.settings.sampling == advised.changed({"denoise": 0.5})
    assert parse_method("m3ddm", given).settings.sampling == SamplingSettings(), "asked for, not assumed"


def test_identity_is_all_that_changes_the_result(files, tmp_path):
    plain = parse_method("m3ddm", files).identity
    assert parse_method("m3ddm:clips_per_batch=4,name=x", files).identity == plain
    assert parse_method("m3ddm:steps=49", files).identity != plain
    (tmp_path / "vae.safetensors").write_bytes(b"another")
    assert parse_method("m3ddm", {**files, "vae": str(tmp_path / "vae.safetensors")}).identity != plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur", "got the method 'blur', expected edge, smooth, telea, seen, vae, m3ddm"),
        ("edge:steps=1", "got the method 'edge:steps=1'"),
        ("m3ddm:stepz=1", "got 'stepz=1' in the method"),
        ("m3ddm:steps", "got 'steps' in the method"),
        ("m3ddm:steps=many", "got steps=many, expected a number"),
        ("m3ddm:strides=15,5", "got '5' in the method"),
        ("m3ddm:strides=a-b", "got strides=a-b, expected strides such as 15-5-1"),
        ("m3ddm:precision=int4", "got the precision 'int4', expected one of fp32, fp16, bf16"),
        ("m3ddm:preset=quick", "got the preset 'quick', expected one of checkpoint, reference, balanced, fast"),
        ("m3ddm:sampler=magic", "got the sampler 'magic', expected one of pndm, "),
        ("m3ddm:scheduler=magic", "got the scheduler 'magic', expected one of normal, "),
        ("m3ddm:guidance_start=0.5,guidance_end=0.4", "got guidance from 0.5 to 0.4"),
        ("m3ddm:unconditional_every=0", "got unconditional_every=0"),
        ("m3ddm:fill=red", "got the fill 'red', expected one of smooth, telea"),
        ("m3ddm:seen=yes", "got the seen 'yes', expected one of off, start, layer, both"),
        ("m3ddm:blend=mix", "got the blend 'mix', expected one of feather, gradient"),
        ("m3ddm:colour_match=auto", "got the colour_match 'auto', expected one of none, linear, steady"),
        ("vae:steps=1", "got 'steps=1' in the method 'vae:steps=1', expected name=... or one of vae"),
        ("vae:vae=gone.safetensors", "got the vae gone.safetensors .* pass --vae FILE"),
        ("m3ddm:checkpoint=gone.safetensors", "got the checkpoint gone.safetensors .* pass --checkpoint FILE"),
    ],
)
def test_what_is_no_method_is_told(files, text, message):
    with pytest.raises(ValueError, match=message):
        parse_method(text, files)


def test_a_round_trip_is_the_whole_truth_through_the_autoencoder(monkeypatch, files):
    monkeypatch.setattr(methods, "_vae", lambda path, device: BlockVAE())
    clip, placement = moving_clip(0), Case("horizontal", 0.5).place(32)
    method = parse_method("vae:name=there and back", files)
    result = method(clip.known(placement), placement, 10.0, lambda share: None, whole_frames(clip))
    assert method.label == "there and back" and result.shape == clip.frames.shape and result.dtype == np.uint8
    means = clip.frames.reshape(6, 4, 8, 4, 8, 3).mean((2, 4))
    np.testing.assert_allclose(result[:, ::8, ::8], means, atol=0.51)


def test_a_round_trip_is_another_with_another_file(files, tmp_path):
    plain = parse_method("vae", files)
    (tmp_path / "new.safetensors").write_bytes(b"another")
    other = parse_method(f"vae:vae={tmp_path / 'new.safetensors'}", files)
    assert plain.identity != other.identity and "new.safetensors" in other.description


def test_the_model_needs_its_files():
    with pytest.raises(ValueError, match="got the checkpoint none for the method 'm3ddm', expected a file"):
        parse_method("m3ddm", {"checkpoint": "", "vae": ""})


@torch.no_grad()
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_checkpoint_is_sampled_as_its_metadata_says(tmp_path, prediction_type):
    config = dataclasses.replace(M3DDM_CONFIG, block_out_channels=(32, 32, 32, 32))
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, seeded_weights(config), config, {"prediction_type": prediction_type})
    settings = SamplingSettings().changed({"steps": 1, "context_scale": 1.0, "global_scale": 0.0})
    draw = torch.Generator().manual_seed(0)
    start, noise, context = (torch.randn(1, c, 16, 8, 8, generator=draw) for c in (4, 4, 5))
    conditions = ClipConditions(context, context, torch.randn(1, 4, 32, 32, generator=draw), 10)
    models = load_models(load_network(path), BlockVAE)
    found = models.sampler(settings, 0)(conditions, start, noise, lambda *step: None)

    network = seeded_network(config)
    (timestep,) = pndm_timesteps(1)
    x = add_noise(start, noise, timestep)
    tokens = network.encode_global(torch.zeros(1, 1, 4, 32, 32))
    predicted = network(torch.cat([x, context], 1), torch.tensor([timestep]), tokens, torch.tensor([10]))
    signal = signal_shares()[timestep]
    if prediction_type == "v_prediction":
        predicted = signal.sqrt() * predicted + (1 - signal).sqrt() * x
    clean = (x - (1 - signal).sqrt() * predicted) / signal.sqrt()
    last = signal_shares()[0]
    torch.testing.assert_close(found, last.sqrt() * clean + (1 - last).sqrt() * predicted)
