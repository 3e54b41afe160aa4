"""Clips from real files: whole, broken, too short, as pictures; and results that come back bit for bit."""

from __future__ import annotations

import av
import numpy as np
import pytest

from m3ddm_core.evaluation.protocol import Protocol
from m3ddm_core.evaluation.videos import comment_of, find_clips, read_clip, read_frames, write_video
from tests.helpers.moving_clips import moving_clip

PROTOCOL = Protocol(size=32)


@pytest.fixture
def folder(tmp_path):
    """Two videos, one of them broken, one too short, and a folder of pictures."""
    frames = moving_clip(0, frames=5, size=48).frames
    write_video(tmp_path / "b.mp4", frames, 12.5, lossless=False)
    write_video(tmp_path / "short.mkv", frames[:1], 12.5, lossless=True)
    (tmp_path / "a.mp4").write_bytes((tmp_path / "b.mp4").read_bytes()[:300])
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
    ("name", "message"), [("a.mp4", "it cannot be read"), ("short.mkv", "it has 1 frames, expected 2 or more")]
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


def test_results_come_back_bit_for_bit(tmp_path):
    frames = moving_clip(1).frames
    write_video(tmp_path / "result.mkv", frames, 29.97, lossless=True, comment="what it is")
    np.testing.assert_array_equal(read_frames(tmp_path / "result.mkv"), frames)
    assert comment_of(tmp_path / "result.mkv") == "what it is"
    assert comment_of(tmp_path / "missing.mkv") is None


def test_a_video_appears_when_it_is_whole(tmp_path):
    def frames():
        yield moving_clip(1).frames[0]
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write_video(tmp_path / "result.mkv", frames(), 10, lossless=True)
    assert not list(tmp_path.iterdir())
