"""The autoencoder's training: its file, its pictures, that it learns, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from m3ddm_core.training.checkpoints import RunFolder
from m3ddm_core.training.report import draw_losses
from m3ddm_core.training.schema import ConfigError
from m3ddm_core.training.tiny_start import begin_as_mean_colours
from m3ddm_core.training.tiny_vae import PictureSource, Reconstruction, parse_tiny_vae_config, train_tiny_vae
from m3ddm_core.vae import SCALE, VAE, load_vae, tiny_state_dict
from tests.helpers.clip_files import write_clip


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Any]:
    return {
        "run": {"output": str(tmp_path / "run"), "steps": 6, "save_every": 3, "log_every": 3},
        "pictures": {"size": 32, "view": 48, "each": 2},
        "optimizer": {"lr": 1e-3, "warmup": 0},
    }


def test_the_file_is_what_comfyui_takes_for_a_tiny_vae(vae_file: Path) -> None:
    tensors = load_file(vae_file)
    assert tensors["taesd_decoder.1.weight"].shape == (64, 4, 3, 3)
    assert tensors["taesd_encoder.0.weight"].shape == (64, 3, 3, 3)
    assert tensors["vae_scale"].item() == pytest.approx(SCALE)
    vae = load_vae(vae_file)
    loaded = tiny_state_dict(vae.network)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    frames = torch.rand(1, 16, 16, 3)
    torch.testing.assert_close(vae.encode(frames), vae.network.encoder(frames.permute(0, 3, 1, 2) * 2 - 1))


def test_it_begins_as_mean_colours() -> None:
    from diffusers import AutoencoderTiny

    torch.manual_seed(3)
    network = AutoencoderTiny()
    begin_as_mean_colours(network)
    colours = torch.rand(6, 3, 1, 1) * 0.4 + 0.3
    pictures = colours.expand(6, 3, 64, 64)
    vae = VAE(network, SCALE)
    frames = pictures.permute(0, 2, 3, 1)
    decoded = vae.decode(vae.encode(frames))
    # Strong colours would be drawn in by the decoder's clamp; the rim is smoothed with the black around it.
    torch.testing.assert_close(decoded[:, 24:40, 24:40], frames[:, 24:40, 24:40], atol=0.06, rtol=0)
    stripes = frames[:1].clone()
    stripes[:, :, ::2] = 0
    torch.testing.assert_close(vae.encode(stripes)[:, :3], vae.encode(frames[:1] / 2)[:, :3], atol=1e-4, rtol=1e-4)


def test_pictures_come_from_scenes_and_videos(pictures: dict[str, Any], tmp_path: Path) -> None:
    scenes = PictureSource(parse_tiny_vae_config(pictures))
    assert scenes[3].shape == (2, 32, 32, 3) and scenes[3].dtype == torch.uint8
    assert torch.equal(scenes[3], PictureSource(parse_tiny_vae_config(pictures))[3])
    write_clip(tmp_path / "videos" / "grey.mp4", np.full((4, 64, 80, 3), 128, np.uint8), 10)
    pictures["pictures"] |= {"folder": str(tmp_path / "videos"), "videos": 1.0}
    videos = PictureSource(parse_tiny_vae_config(pictures))
    assert (videos[0].float() - 127.5).abs().max() < 6
    (tmp_path / "videos" / "grey.mp4").write_bytes(b"gone")
    assert videos[0].float().std() > 1, "a scene stands in for a broken video"


def test_training_lowers_the_loss_and_resumes_bit_for_bit(pictures: dict[str, Any], tmp_path: Path) -> None:
    torch.set_num_threads(1)
    alone = train_tiny_vae(parse_tiny_vae_config(pictures), log=lambda line: None)
    pictures["run"] |= {"output": str(tmp_path / "parts"), "sample_every": 3}
    config = parse_tiny_vae_config(pictures)
    train_tiny_vae(config, minutes=1e-6, log=lambda line: None)
    assert RunFolder(tmp_path / "parts").latest()[0] == 1
    resumed = train_tiny_vae(config, resume=True, log=lambda line: None)
    first, second = load_file(alone), load_file(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    losses = [float(row.split(",")[1]) for row in (alone.parent / "loss.csv").read_text().splitlines()[1:]]
    assert losses == [
        float(row.split(",")[1]) for row in (tmp_path / "parts" / "loss.csv").read_text().splitlines()[1:]
    ]
    assert sum(losses[-2:]) < sum(losses[:2])


def test_the_loss_is_that_of_pictures_edges_and_spread(pictures: dict[str, Any]) -> None:
    class Same(torch.nn.Module):
        """Encodes to nothing in particular, decodes to grey."""

        def encoder(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x), 4, 2, 2)

        def decoder(self, z: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(z), 3, 16, 16)

    settings = parse_tiny_vae_config({**pictures, "pictures": {"spread": 0.25, "edges": 2.0}}).pictures
    flat, striped = torch.full((2, 3, 16, 16), 0.5), torch.zeros(2, 3, 16, 16)
    striped[..., ::2] = 1
    loss = Reconstruction(Same(), settings)
    # Latents that are all zero have mean zero and a standard deviation of zero.
    torch.testing.assert_close(loss(flat, torch.zeros(2, 4, 2, 2)), torch.tensor(0.5 + 0.25))
    torch.testing.assert_close(loss(striped, torch.zeros(2, 4, 2, 2)), torch.tensor(0.5 + 2.0 + 0.25))


def test_what_is_wrong_is_named_together(pictures: dict[str, Any]) -> None:
    pictures["pictures"] = {"size": 60, "view": 40, "folder": "nowhere"}
    with pytest.raises(ConfigError, match=r"3 problems(?s:.*)multiple of 8(?s:.*)at most view = 40(?s:.*)nowhere"):
        parse_tiny_vae_config(pictures)


@pytest.mark.parametrize("steps", [1, 400])
def test_losses_are_drawn(steps: int, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_losses((step, 1 / step, 0.1, 1e-4) for step in range(1, steps + 1))
    assert draw_losses(folder.losses, tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as picture:
        assert picture.size == (840, 420) and len(picture.convert("RGB").getcolors(10**6)) > 3
