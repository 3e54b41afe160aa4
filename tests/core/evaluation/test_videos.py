"""Clips from real files: whole, broken, too short, as pictures; and results that come back bit for bit."""

from __future__ import annotations

import av
import numpy as np
import pytest

from m3ddm_core.evaluation.protocol import Protocol
from m3ddm_core.evaluation.videos import comment_of, find_clips, read_clip, read_result, write_result
from tests.helpers.clip_files import rotated_file, write_clip
from tests.helpers.moving_clips import moving_clip

PROTOCOL = Protocol(size=32)


@pytest.fixture
def folder(tmp_path):
    """Two videos, one of them broken, one too short, and a folder of pictures."""
    frames = moving_clip(0, frames=5, size=48).frames
    write_clip(tmp_path / "b.mp4", frames, 12.5)
    write_result(tmp_path / "short.mkv", frames[:1], 12.5)
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    (tmp_path / "notes.txt").write_text("not a video")
    (tmp_path / "davis" / "bear").mkdir(parents=True)
    for number, frame in enumerate(frames):
        with av.open(tmp_path / "davis" / "bear" / f"{number:05d}.png", "w", format="image2") as file:
            stream = file.add_stream("png", rate=24)
            stream.width, stream.height, stream.pix_fmt = 48, 48, "rgb24"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
    return tmp_path


def test_every_clip_of_a_folder_is_found(folder):
    assert [source.name for source in find_clips(folder)] == ["a.mp4", "b.mp4", "davis/bear", "short.mkv"]


def test_a_folder_of_frames_is_a_clip_too(folder):
    (source,) = find_clips(folder / "davis" / "bear")
    clip = source.load(Protocol(size=48))
    assert source.name == "bear" and clip.fps == 24
    np.testing.assert_array_equal(clip.frames, moving_clip(0, frames=5, size=48).frames)


def test_a_video_is_read_square_and_no_longer_than_asked(folder):
    clip = read_clip([folder / "b.mp4"], PROTOCOL)
    assert clip.frames.shape == (5, 32, 32, 3) and clip.frames.dtype == np.uint8 and clip.fps == 12.5
    assert len(read_clip([folder / "b.mp4"], Protocol(size=32, frames=3)).frames) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.mp4", "which cannot be read"), ("short.mkv", "got 1 frames, expected 2 or more")],
)
def test_what_cannot_be_used_says_why(folder, name, message):
    with pytest.raises(ValueError, match=message):
        read_clip([folder / name], PROTOCOL)


def test_a_changed_file_is_another_clip(folder):
    before = {source.name: source.identity for source in find_clips(folder)}
    (folder / "a.mp4").write_bytes(b"more")
    after = {source.name: source.identity for source in find_clips(folder)}
    assert [name for name in before if before[name] != after[name]] == ["a.mp4"]


def test_results_are_no_clips(folder):
    assert [source.name for source in find_clips(folder, folder / "davis")] == ["a.mp4", "b.mp4", "short.mkv"]


def test_no_videos_are_told(tmp_path):
    with pytest.raises(ValueError, match="got a folder without videos, expected files such as"):
        find_clips(tmp_path)
    with pytest.raises(ValueError, match="got nothing, expected a folder of videos"):
        find_clips(tmp_path / "missing")


@pytest.mark.parametrize("size", [32, 33])
def test_results_come_back_bit_for_bit(tmp_path, size):
    frames = moving_clip(1, size=size).frames
    write_result(tmp_path / "result.mkv", frames, 29.97)
    np.testing.assert_array_equal(read_result(tmp_path / "result.mkv"), frames)


def test_the_comment_of_a_video_is_found(tmp_path):
    frames = moving_clip(1).frames
    write_clip(tmp_path / "commented.mp4", frames, 10, comment="what it is")
    write_clip(tmp_path / "silent.mp4", frames, 10)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    comments = [comment_of(tmp_path / f"{name}.mp4") for name in ("commented", "silent", "broken", "missing")]
    assert comments == ["what it is", "", None, None]


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_clip_is_measured_upright(tmp_path, rotation):
    """The picture is bright above, dark below, whichever way the camera was held."""
    path = rotated_file(tmp_path / "phone.mp4", rotation)
    frames = read_clip([path], Protocol(size=32, fit="stretch")).frames
    assert frames[:, :14].mean() > 180 and frames[:, 18:].mean() < 70
