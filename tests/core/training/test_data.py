"""Clips from scenes and from video files, and the latents kept of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from m3ddm_core.training.config import Config, parse_config
from m3ddm_core.training.latents import ClipLoader, LatentCache, LatentClip, encode_clips
from m3ddm_core.training.samples import Clip, ClipSource, cut_out
from m3ddm_core.training.videos import scan_folder
from m3ddm_core.vae import load_vae
from tests.helpers.clip_files import rotated_file, write_clip


def counting_video(path: Path, frames: int, size: tuple[int, int] = (64, 48), fps: float = 10.0) -> Path:
    """Write a video whose frames tell their number by their brightness."""
    levels = np.linspace(25, 230, frames).round().astype(np.uint8)
    return write_clip(path, np.tile(levels[:, None, None, None], (1, size[1], size[0], 3)), fps)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    videos = tmp_path / "videos"
    counting_video(videos / "long.mp4", 60)
    counting_video(videos / "deeper" / "other.mp4", 40)
    counting_video(videos / "short.mp4", 3)
    (videos / "broken.mp4").write_bytes(b"no video at all")
    (videos / "cut.mkv").write_bytes((videos / "long.mp4").read_bytes()[:300])
    (videos / "notes.txt").write_text("not looked at")
    return videos


def test_broken_and_short_videos_are_passed_over_and_named(folder: Path) -> None:
    found = scan_folder(folder, 16)
    assert [(video.path.name, video.num_frames, video.rate) for video in found.videos] == [
        ("other.mp4", 40, 10),
        ("long.mp4", 60, 10),
    ]
    assert set(found.skipped) == {"broken.mp4", "cut.mkv", "short.mp4"}
    assert found.skipped["short.mp4"] == "3 frames, fewer than 16"


def test_a_folder_without_videos_is_an_error(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="0 video files of which none can be used"):
        scan_folder(tmp_path / "empty", 16)
    with pytest.raises(ValueError, match=r"5 video files of which none can be used(?s:.*)short\.mp4: 3 frames"):
        scan_folder(folder, 100)


def config_of(settings: dict[str, Any], **data: Any) -> Config:
    return parse_config({**settings, "data": {**settings["data"], **data}})


@pytest.mark.parametrize("source", ["synthetic", "folder"])
def test_a_clip_is_a_function_of_its_number(settings: dict[str, Any], folder: Path, source: str) -> None:
    config = config_of(settings, source=source, **({"folder": str(folder)} if source == "folder" else {}))
    clips, again = ClipSource(config), ClipSource(config)
    again[3]
    first, second = clips[4], again[4]
    assert first.frames.dtype == torch.uint8
    assert first.frames.shape == (2, 16, 16, 3) and first.global_frames.shape == (2, 16, 16, 3)
    assert torch.equal(first.frames, second.frames) and torch.equal(first.global_frames, second.global_frames)
    assert (first.border, first.fps) == (second.border, second.fps)
    assert not torch.equal(first.frames, clips[5].frames)
    fps = {clips[number].fps for number in range(12)}
    assert fps <= ({24, 12, 8, 6} if source == "synthetic" else {10, 5, 3, 2}) and len(fps) > 1


def test_a_video_that_turns_out_broken_is_passed_over_and_told(settings: dict[str, Any], folder: Path) -> None:
    clips = ClipSource(config_of(settings, source="folder", folder=str(folder)))
    assert set(clips.skipped) == {"broken.mp4", "cut.mkv"}
    (folder / "deeper" / "other.mp4").write_bytes(b"gone")
    found = [clips[number] for number in range(24)]
    reasons = dict(entry for clip in found for entry in clip.skipped)
    assert reasons["other.mp4"].startswith("it cannot be read")
    for file in folder.rglob("*.mp4"):
        file.write_bytes(b"gone")
    with pytest.raises(ValueError, match="unreadable videos in a row"):
        clips[0]


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_clip_is_trained_on_upright(settings: dict[str, Any], tmp_path: Path, rotation: int) -> None:
    """The picture is bright above, dark below, whichever way the camera was held."""
    path = rotated_file(tmp_path / "videos" / "phone.mp4", rotation)
    size = [48, 64] if rotation % 180 else [64, 48]
    clip = ClipSource(config_of(settings, source="folder", folder=str(path.parent), size=size))[0]
    for pictures in (clip.frames.float(), clip.global_frames.float()):
        half = pictures.shape[1] // 2
        assert pictures[:, : half - 4].mean() > 180 and pictures[:, half + 4 :].mean() < 70


@pytest.mark.parametrize("kind", ["masked", "cropped"])
def test_global_frames_show_nothing_that_the_clip_hides(settings: dict[str, Any], kind: str) -> None:
    config = config_of(settings, global_frames=kind)
    clips = ClipSource(config)
    for number in range(20):
        clip = clips[number]
        hidden = torch.from_numpy(clip.border.mask(16, 16)) == 1
        shown: list[torch.Tensor] = []
        for filler in (0, 255):
            # Whatever lies under the mask, the network is told the same.
            pictures = clip.global_frames.clone()
            pictures[:, hidden] = filler
            encode_clips([replace(clip, global_frames=pictures)], partial(record, shown), config.data)
        first, second = shown[2], shown[6]
        assert first.shape == (2, 48, 48, 3) and torch.equal(first, second)
        assert (first.max() == 0) == (clip.border.window(16, 16)[2:] == (0, 0))


def record(shown: list[torch.Tensor], frames: torch.Tensor) -> torch.Tensor:
    """Stand in for an encoder, and keep what it was given."""
    shown.append(frames)
    return frames.permute(0, 3, 1, 2)


def test_pictures_are_cut_to_shape() -> None:
    pictures = torch.zeros(1, 40, 100, 3)
    pictures[:, :, 60:] = 1
    assert cut_out(pictures, (20, 20), (0.0, 0.0)).max() == 0
    assert cut_out(pictures, (20, 20), (1.0, 0.0)).min() == 1
    assert cut_out(pictures, (20, 40), (0.5, 0.5)).shape == (1, 40, 20, 3)


def test_latents_are_encoded_as_inference_does(settings: dict[str, Any], vae_file: Path) -> None:
    vae = load_vae(vae_file)
    config = config_of(settings)
    clips = ClipSource(config)
    clip = next(clips[number] for number in range(50) if clips[number].border.kind == "one")
    (latent,) = encode_clips([clip], vae.encode, config.data)
    assert latent.latents.shape == latent.masked.shape == (2, 4, 2, 2) and latent.mask.shape == (1, 2, 2)
    assert latent.global_latents.shape == (2, 4, 6, 6) and latent.blank.shape == (4, 2, 2)
    black = clip.frames / 255 * (torch.from_numpy(clip.border.mask(16, 16)) == 0)[..., None]
    torch.testing.assert_close(latent.masked, vae.encode(black))
    torch.testing.assert_close(latent.mask[0], torch.from_numpy(clip.border.mask(16, 16))[::8, ::8])


def test_cached_clips_are_the_same_made_or_read(settings: dict[str, Any], vae_file: Path, tmp_path: Path) -> None:
    config = config_of(settings, cache=str(tmp_path / "latents"), cache_clips=3)
    source, cache, vae = ClipSource(config), LatentCache(config), load_vae(vae_file)
    loader = ClipLoader(source, cache)
    number, clip = loader[7]
    assert number == 1 and isinstance(clip, Clip), "with three clips, the eighth is the second again"
    made = cache.write(number, encode_clips([clip], vae.encode, config.data)[0])
    _, read = loader[1]
    assert isinstance(read, LatentClip)
    for name, value in vars(made).items():
        assert torch.equal(value, getattr(read, name)), name
    file = next((tmp_path / "latents").rglob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:50])
    assert isinstance(loader[1][1], Clip), "a damaged file is made again"
    other = config_of(settings, cache=str(tmp_path / "latents"), cache_clips=3, frames=4)
    assert LatentCache(other).folder != cache.folder


def test_cached_clips_may_be_played_backwards_every_other_time(
    settings: dict[str, Any], vae_file: Path, tmp_path: Path
) -> None:
    folder = str(tmp_path / "latents")
    forwards = LatentCache(config_of(settings, cache=folder, cache_clips=3))
    both = LatentCache(config_of(settings, cache=folder, cache_clips=3, cache_backwards=True))
    assert both.folder == forwards.folder, "the files are the same"
    config = config_of(settings)
    clip = encode_clips([ClipSource(config)[1]], load_vae(vae_file).encode, config.data)[0]
    for number, flipped in ((1, False), (4, True), (7, False)):
        assert both.played(clip, number) is clip or flipped
        assert forwards.played(clip, number) is clip
    turned = both.played(clip, 4)
    assert torch.equal(turned.latents, clip.latents.flip(0)) and torch.equal(turned.masked, clip.masked.flip(0))
    assert not torch.equal(turned.latents, clip.latents)
    for name in ("mask", "global_latents", "blank", "fps"):
        assert torch.equal(getattr(turned, name), getattr(clip, name)), name
