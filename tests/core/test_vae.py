"""Autoencoders from files: a tiny one renamed as diffusers wants it, and files that are none."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file

from m3ddm_core.checkpoint import CheckpointError
from m3ddm_core.vae import SCALE, load_vae


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
