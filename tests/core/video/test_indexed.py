"""Frames by number are those that decoding everything gives, in whatever way a file stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from m3ddm_core.video.file import FileSource
from m3ddm_core.video.indexed import IndexedVideo
from m3ddm_core.video.reader import BrokenVideo
from tests.helpers.clip_files import damaged_copy, encoded_file, rotated_file
from tests.helpers.moving_clips import moving_clip

NUM_FRAMES = 80

FILES: dict[str, dict[str, Any]] = {
    "plain.mp4": {"options": {"g": "20"}},
    "one_key_frame.mp4": {"options": {"g": "500"}},
    "plain.mkv": {"options": {"g": "20"}},
    "broadcast.ts": {"options": {"g": "20"}},
    "open_groups.mp4": {"options": {"x264-params": "open-gop=1:keyint=20:scenecut=0"}},
    "no_key_frames.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=20"}},
    "uneven.mp4": {"stamps": [number * number // 9 + number for number in range(NUM_FRAMES)], "options": {"g": "20"}},
    "gap.mp4": {"stamps": [number + 900 * (number > 50) for number in range(NUM_FRAMES)], "options": {"g": "20"}},
    "old.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "old.ts": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "old.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "web.webm": {"codec": "libvpx", "options": {"g": "20", "deadline": "realtime"}},
    "pictures.mkv": {"codec": "ffv1"},
    "no_order.avi": {"options": {"g": "20"}},
    "no_stamps.h264": {"options": {"g": "20"}},
}
UNTOLD = {"no_order.avi", "no_stamps.h264", "old.mpg"}
"""Files whose packets do not tell when a frame is shown."""


def clip(num_frames: int = NUM_FRAMES) -> np.ndarray:
    return moving_clip(0, frames=num_frames, size=48).frames


@pytest.mark.parametrize("name", FILES)
def test_frames_are_the_ones_asked_for(tmp_path: Path, name: str) -> None:
    path = encoded_file(tmp_path / name, clip(), **FILES[name])
    whole = torch.stack(list(FileSource(path).frames()))
    video = IndexedVideo.of(path)
    assert video.num_frames == len(whole) and (video.stamps is None) == (name in UNTOLD)
    for numbers in ([0], [79], [41, 40], [39, 2, 61, 2], [30, 77, 5, 78], range(18, 24)):
        assert torch.equal(video.read(numbers), whole[list(numbers)])


def test_frames_come_upright_one_by_one(tmp_path: Path) -> None:
    video = IndexedVideo.of(rotated_file(tmp_path / "phone.mp4", 90))
    numbers, pictures = zip(*video.pictures([7, 3, 7]), strict=True)
    assert numbers == (3, 7)
    for picture in pictures:
        assert picture.shape == (64, 48, 3) and picture[:30].min() > 0.8 and picture[34:].max() < 0.2


@pytest.mark.parametrize("number", [-1, 80])
def test_frames_that_are_not_there_are_refused(tmp_path: Path, number: int) -> None:
    video = IndexedVideo.of(encoded_file(tmp_path / "plain.mp4", clip()))
    with pytest.raises(ValueError, match=f"got frames .*{number}.* expected numbers from 0 to 79"):
        video.read([5, number])


def test_only_what_is_needed_is_decoded(tmp_path: Path) -> None:
    """Damage that is jumped over does no harm."""
    path = encoded_file(tmp_path / "plain.mkv", clip(), options={"x264-params": "keyint=20:scenecut=0"})
    video = IndexedVideo.of(damaged_copy(path, tmp_path / "damaged.mkv", 30))
    assert torch.equal(video.read([2, 60, 70]), IndexedVideo.of(path).read([2, 60, 70]))
    with pytest.raises(BrokenVideo, match=r"cannot be read \(Invalid data"):
        video.read([38])


def test_a_file_that_has_changed_is_broken(tmp_path: Path) -> None:
    path = encoded_file(tmp_path / "plain.mkv", clip(), options={"g": "20"})
    video, data = IndexedVideo.of(path), path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert video.read([3]).shape == (1, 48, 48, 3)
    with pytest.raises(BrokenVideo, match=r"ends before frame 79, expected 80|cannot be read"):
        video.read([3, 79])
    path.write_bytes(b"gone")
    with pytest.raises(BrokenVideo, match=r"cannot be read \(Invalid data"):
        video.read([3])


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_video_is_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.mp4").write_bytes(content)
    with pytest.raises(BrokenVideo, match=r"broken\.mp4, which (is empty|cannot be read \(Invalid data)"):
        IndexedVideo.of(tmp_path / "broken.mp4")
