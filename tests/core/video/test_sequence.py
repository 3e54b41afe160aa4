"""A folder of pictures is whole or not there, and holds what the video was."""

from __future__ import annotations

import json
import os
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.sequence import is_sequence
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.whole import LOCK
from m3ddm_core.video.writer import write_video

PNG = Encoding("png")


def noise(frames: int = 3, bit_depth: int = 8) -> TensorSource:
    images = torch.rand(frames, 11, 13, 3, generator=torch.Generator().manual_seed(0))
    return TensorSource(images, Fraction(25), torch.sin(torch.arange(2880) / 9)[None], 24000, bit_depth)


def write(folder, video, **options):
    write_video(folder, video.frames(), video.info, video.sound, encoding=PNG, **options)


def test_pictures_sound_and_times(tmp_path):
    video = noise()
    write(tmp_path / "out", video, metadata={"workflow": {"title": "ü"}})
    assert sorted(os.listdir(tmp_path / "out")) == [
        *(f"00000{number}.png" for number in (1, 2, 3)),
        "sound.wav",
        "video.json",
    ]
    for number, frame in enumerate(video.images, start=1):
        with Image.open(tmp_path / "out" / f"00000{number}.png") as picture:
            assert np.array_equal(np.array(picture), (frame * 255).round().to(torch.uint8).numpy())
            assert picture.text == ({"workflow": '{"title": "\\u00fc"}'} if number == 1 else {})
    with av.open(str(tmp_path / "out" / "sound.wav")) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert samples.shape[1] == 2880
    about = json.loads((tmp_path / "out" / "video.json").read_text("utf-8"))
    assert about["frames_per_second"] == "25" and about["seconds"] == [0, 0.04, 0.08, 0.12]


def test_ten_bits_are_kept_in_sixteen_and_colours_are_named(tmp_path):
    video = noise(bit_depth=10)
    video.info = type(video.info)(video.info.size, video.info.timeline, 10, 9, 9, 16)
    write(tmp_path / "out", video)
    with av.open(str(tmp_path / "out" / "000002.png")) as container:
        frame = next(container.decode(video=0))
        assert (frame.color_primaries, frame.color_trc) == (9, 16)
        pixels = frame.reformat(format="rgb48le").to_ndarray()
    assert np.abs(pixels / 65535 - video.images[1].numpy()).max() <= 0.51 / 65535


def test_one_that_is_there_is_replaced_when_the_new_one_is_whole(tmp_path):
    write(tmp_path / "out", noise(5))
    with pytest.raises(ValueError, match="got 2 frames, expected 3"):
        write_video(tmp_path / "out", list(noise().frames())[:2], noise().info, encoding=PNG)
    assert len(os.listdir(tmp_path / "out")) == 7
    write(tmp_path / "out", noise())
    assert len(os.listdir(tmp_path / "out")) == 5 and os.listdir(tmp_path) == ["out"]


def test_what_stops_it_leaves_nothing(tmp_path):
    def stopped():
        yield torch.zeros(11, 13, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "out", stopped(), noise().info, encoding=PNG)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_cleared_and_what_one_is_filling_is_not(tmp_path):
    left = tmp_path / ".out.12345678.part"
    left.mkdir()
    (left / LOCK).touch()
    (left / "000001.png").touch()

    def frames():
        yield torch.zeros(11, 13, 3)
        assert not left.exists()
        write(tmp_path / "out", noise())
        yield from [torch.zeros(11, 13, 3)] * 2

    write_video(tmp_path / "out", frames(), noise().info, encoding=PNG)
    assert os.listdir(tmp_path) == ["out"] and len(os.listdir(tmp_path / "out")) == 4


def test_only_a_sequence_is_one(tmp_path):
    write(tmp_path / "out", noise())
    assert is_sequence(tmp_path / "out")
    (tmp_path / "out" / "thesis.docx").touch()
    assert not is_sequence(tmp_path / "out")
