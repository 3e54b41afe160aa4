"""Autoencoders from files: a tiny one renamed as diffusers wants it, and files that are none."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import load_file, save_file

from m3ddm_core.checkpoint import CheckpointError
from m3ddm_core.vae import SCALE, SD15_VAE, load_vae


def test_missing_diffusers_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("m3ddm_core.vae.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install diffusers"):
        load_vae(tmp_path / "vae.safetensors")


def tiny_file(folder, network, **extra):
    """Write a TAESD-format file: the decoder's layers count from a clamp, which diffusers has in its forward."""
    tensors = {}
    for name, tensor in network.state_dict().items():
        half, _, number, rest = name.split(".", 3)
        tensors[f"taesd_{half}.{int(number) + (half == 'decoder')}.{rest}"] = tensor.clone()
    path = folder / "tiny.safetensors"
    save_file({**tensors, **{name: torch.tensor(value) for name, value in extra.items()}}, path)
    return path


@pytest.fixture(scope="module")
def tiny() -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny().eval()


@torch.no_grad()
@pytest.mark.parametrize("extra", [{}, {"vae_scale": SCALE, "vae_shift": 0.5}])
def test_a_tiny_file_is_the_network_it_was_made_from(tmp_path, tiny, extra):
    frames = torch.rand(9, 16, 24, 3)
    vae = load_vae(tiny_file(tmp_path, tiny, **extra))
    latents = vae.encode(frames)
    pixels = frames.permute(0, 3, 1, 2) * 2 - 1
    raw = tiny.encode(pixels).latents / extra.get("vae_scale", 1.0) + extra.get("vae_shift", 0.0)
    assert latents.shape == (9, 4, 2, 3)
    torch.testing.assert_close(latents, raw * SCALE)
    expected = (tiny.decode(tiny.encode(pixels).latents).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(vae.decode(latents), expected.permute(0, 2, 3, 1), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_folder_of_diffusers_gives_the_mode_in_model_space(tmp_path):
    torch.manual_seed(0)
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32),
    )
    network.save_pretrained(tmp_path)
    frames = torch.rand(2, 16, 16, 3)
    vae = load_vae(tmp_path)
    mode = network.eval().encode(frames.permute(0, 3, 1, 2) * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(vae.encode(frames), mode * SCALE)
    assert vae.decode(vae.encode(frames)).shape == frames.shape


@pytest.mark.parametrize(
    "content", [{"conv.weight": torch.zeros(3)}, {"taesd_decoder.1.weight": torch.zeros(64, 4, 3, 3)}]
)
def test_a_file_without_an_autoencoder_is_named(tmp_path, content):
    save_file(content, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"other\.safetensors: got no autoencoder"):
        load_vae(tmp_path / "other.safetensors")


def test_no_file_is_said_to_be_none(tmp_path):
    with pytest.raises(CheckpointError, match="got nothing, expected a checkpoint file"):
        load_vae(tmp_path / "missing.safetensors")


KL = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (32, 32, 32, 32),
}


@pytest.fixture
def folder(tmp_path):
    """A small autoencoder as diffusers saves one."""
    torch.manual_seed(0)
    AutoencoderKL(**KL).save_pretrained(tmp_path)
    return tmp_path


def changed(folder, change):
    """Change a folder's weights."""
    path = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def refusal(path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_vae(path)
    assert str(caught.value).isprintable() and path.name in str(caught.value)
    return str(caught.value)


def test_the_attention_names_of_older_folders_are_known(folder):
    frames = torch.rand(1, 16, 16, 3)
    expected = load_vae(folder).encode(frames)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors):
        for name in [name for name in tensors if ".attentions." in name]:
            new = name
            for now, before in old.items():
                new = new.replace(f".{now}.", f".{before}.")
            tensors[new] = tensors.pop(name)

    changed(folder, rename)
    assert torch.equal(load_vae(folder).encode(frames), expected)


def test_a_folder_without_a_tensor_is_refused_and_not_made_up(folder):
    changed(folder, lambda tensors: tensors.pop("decoder.conv_out.bias"))
    assert "got no autoencoder that can be read (RuntimeError)" in refusal(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"block_out_channels": [1 << 40] * 4},
        {"block_out_channels": [64, 64, 64, 64]},
        {"layers_per_block": 10**6},
        {"layers_per_block": "two"},
        {"latent_channels": 1 << 50},
        {"down_block_types": ["DownEncoderBlock2D"] * 1000},
        {"down_block_types": ["__import__('os')"] * 4},
        {"norm_num_groups": 0},
    ],
    ids=str,
)
def test_a_config_of_another_autoencoder_is_refused_before_memory_is_asked_for(folder, change):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refusal(folder)


@pytest.mark.parametrize("content", ["[" * 50_000, "[]", "", "\xff"])
def test_a_config_that_is_none_is_refused(folder, content):
    (folder / "config.json").write_text(content, encoding="latin-1")
    refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_named(folder, value):
    changed(folder, lambda tensors: tensors["decoder.conv_in.bias"].__setitem__(3, value))
    assert "got decoder.conv_in.bias with values that are not finite" in refusal(folder)


@pytest.mark.parametrize("name", ["vae.safetensors", "vae.bin", "vae.pth"])
@pytest.mark.parametrize("zipped", [True, False, None])
def test_the_suffix_does_not_decide(tmp_path, tiny, name, zipped):
    path = tiny_file(tmp_path, tiny).rename(tmp_path / name)
    expected = {key: tensor.clone() for key, tensor in load_file(path).items()}
    if zipped is not None:
        torch.save({"state_dict": expected}, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(load_vae(path).network.decoder.layers[0].weight, expected["taesd_decoder.1.weight"])


def test_torchs_and_diffusers_words_are_not_passed_on(tmp_path):
    path = tmp_path / "vae.bin"
    torch.save({"a": torch.zeros(1), "model": torch.nn.Linear(2, 2)}, path)
    text = refusal(path)
    assert "holds code or objects (torch.nn.modules.linear.Linear)" in text and "weights_only" not in text
    save_file({"encoder.conv_in.weight": torch.zeros(3)}, tmp_path / "kl.safetensors")
    assert "from_single_file" not in refusal(tmp_path / "kl.safetensors")


@pytest.mark.slow
def test_a_file_without_a_tensor_is_refused(tmp_path):
    with torch.device("meta"):
        network = AutoencoderKL.from_config({**SD15_VAE})
    tensors = {name: torch.zeros(t.shape, dtype=torch.float16) for name, t in network.state_dict().items()}
    del tensors["decoder.conv_out.bias"]
    save_file(tensors, tmp_path / "vae.safetensors")
    assert "got no autoencoder that can be read" in refusal(tmp_path / "vae.safetensors")
