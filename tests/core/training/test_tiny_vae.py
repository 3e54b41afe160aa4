"""The autoencoder's training: its file, its pictures, that it learns, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from m3ddm_core.evaluation import perceptual
from m3ddm_core.training.checkpoints import RunFolder
from m3ddm_core.training.colour_axes import colour_error
from m3ddm_core.training.picture_source import PictureSource
from m3ddm_core.training.report import draw_losses
from m3ddm_core.training.schema import ConfigError
from m3ddm_core.training.tiny_start import begin_as_mean_colours
from m3ddm_core.training.tiny_vae import FIT_FROM, initial_autoencoder, train_tiny_vae
from m3ddm_core.training.tiny_vae_config import parse_tiny_vae_config
from m3ddm_core.vae import SCALE, VAE, load_vae, save_tiny, tiny_state_dict
from tests.helpers.clip_files import write_clip


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Any]:
    return {
        "run": {"output": str(tmp_path / "run"), "steps": 6, "save_every": 3, "log_every": 3},
        "pictures": {"size": 32, "view": 48, "each": 2},
        "optimizer": {"lr": 1e-3, "warmup": 0},
    }


GREY, RED, BLUE = (True, True, True), (True, False, False), (False, False, True)


@pytest.fixture
def footage(pictures: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A grey film beside a broken one, a red photograph, and a panorama: blue, with white above and below."""
    for kind in ("film", "photo", "panorama"):
        (tmp_path / kind).mkdir()
    write_clip(tmp_path / "film" / "grey.mp4", _speckled(6, 64, 80, GREY), 10)
    (tmp_path / "film" / "broken.mp4").write_bytes(b"gone")
    Image.fromarray(_speckled(1, 60, 90, RED)[0]).save(tmp_path / "photo" / "red.png")
    panorama = _speckled(1, 128, 256, BLUE)[0]
    panorama[:30], panorama[-30:] = 255, 255
    Image.fromarray(panorama).save(tmp_path / "panorama" / "blue.png")
    pictures["sources"] = {"film": 6.0, "photo": 2.0, "panorama": 2.0, "synthetic": 0.0}
    pictures["material"] = {kind: str(tmp_path / kind) for kind in ("film", "photo", "panorama")}
    pictures["material"]["store"] = str(tmp_path / "stores")
    return pictures


def _speckled(count: int, height: int, width: int, bright: tuple[bool, ...]) -> np.ndarray:
    """Pictures (n, h, w, 3), uint8, whose channels are bright or dark, in spots of 4 pixels."""
    spots = np.random.default_rng(0).integers(0, 80, (count, height // 4, width // 4, 3))
    return (spots.repeat(4, axis=1).repeat(4, axis=2) + 120 * np.array(bright)).astype(np.uint8)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """An autoencoder that knows colours."""
    from diffusers import AutoencoderTiny

    torch.manual_seed(3)
    network = AutoencoderTiny()
    begin_as_mean_colours(network)
    save_tiny(tmp_path / "start.safetensors", network)
    return tmp_path / "start.safetensors"


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


def test_pictures_come_from_scenes(pictures: dict[str, Any]) -> None:
    scenes = PictureSource(parse_tiny_vae_config(pictures))
    assert scenes[3].shape == (2, 32, 32, 3) and scenes[3].dtype == torch.uint8
    assert torch.equal(scenes[3], PictureSource(parse_tiny_vae_config(pictures))[3])


def test_pictures_come_from_footage_by_its_shares(footage: dict[str, Any]) -> None:
    source = PictureSource(parse_tiny_vae_config(footage))
    drawn = [source[number] for number in range(24)]
    assert all(torch.equal(picture, source[number]) for number, picture in enumerate(drawn))
    assert all(picture.shape == (2, 32, 32, 3) for picture in drawn)
    # The film is grey, the photograph red, the panorama blue between its smeared ends.
    kinds = [tuple((picture.float().mean(dim=(0, 1, 2)) > 100).tolist()) for picture in drawn]
    assert set(kinds) == {GREY, RED, BLUE}
    assert sum(kind == GREY for kind in kinds) > sum(kind == RED for kind in kinds)
    assert list(source.skipped) == ["broken.mp4"]


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


@pytest.mark.parametrize("trained", ["both", "decoder"])
def test_a_run_that_starts_from_weights_resumes_bit_for_bit(
    footage: dict[str, Any], trained: str, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(perceptual, "load_lpips", lambda *a: SimpleNamespace(model=SimpleNamespace(forward=_distance)))
    footage["start"] = {"weights": str(start), "turn": trained == "both", "trained": trained}
    footage["worth"] = {"lpips": 0.5, "sharpness": 0.5, "colours": 0.5}
    alone = load_file(train_tiny_vae(parse_tiny_vae_config(footage), log=lambda line: None))
    footage["run"]["output"] = str(tmp_path / "parts")
    config = parse_tiny_vae_config(footage)
    train_tiny_vae(config, minutes=1e-6, log=lambda line: None)
    resumed = load_file(train_tiny_vae(config, resume=True, log=lambda line: None))
    assert all(torch.equal(alone[name], resumed[name]) for name in alone)
    before = load_file(start)
    weights = [name for name in before if name.startswith("taesd_") and before[name].any()]
    changed = {name.split(".")[0] for name in weights if not torch.equal(before[name], alone[name])}
    assert changed == ({"taesd_decoder"} if trained == "decoder" else {"taesd_encoder", "taesd_decoder"})


def _distance(decoded: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    return (decoded - pictures).square().mean(dim=(1, 2, 3))


def test_a_turned_start_shows_its_colours(footage: dict[str, Any], start: Path, vae_file: Path) -> None:
    footage["start"] = {"weights": str(start), "turn": True}
    config = parse_tiny_vae_config(footage)
    source = PictureSource(config)
    pictures = torch.cat([source[FIT_FROM + i] for i in range(8)]).permute(0, 3, 1, 2) / 127.5 - 1
    turned, plain = initial_autoencoder(config, source), load_vae(start).network
    with torch.no_grad():
        errors = [colour_error(network.encoder(pictures), pictures) for network in (turned, plain)]
    assert errors[0] < 0.01 < errors[1]
    footage["start"]["weights"] = str(vae_file)
    with pytest.raises(ValueError, match="that hardly change"):
        initial_autoencoder(parse_tiny_vae_config(footage), source)


def test_what_is_wrong_is_named_together(pictures: dict[str, Any]) -> None:
    pictures["pictures"] = {"size": 60, "view": 40}
    pictures["sources"] = {"film": 1.0}
    pictures["start"] = {"trained": "decoder"}
    pictures["worth"] = {"lpips_backbone": "none.pth"}
    with pytest.raises(ConfigError) as caught:
        parse_tiny_vae_config(pictures)
    for problem in (
        "5 problems",
        "multiple of 8",
        "at most view = 40",
        "material.film: got '', expected a folder",
        "got no start.weights",
        "none.pth",
    ):
        assert problem in str(caught.value)


@pytest.mark.parametrize("steps", [1, 400])
def test_losses_are_drawn(steps: int, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_losses((step, 1 / step, 0.1, 1e-4) for step in range(1, steps + 1))
    assert draw_losses(folder.losses, tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as picture:
        assert picture.size == (840, 420) and len(picture.convert("RGB").getcolors(10**6)) > 3
