"""A damaged video comes out shorter, and the log says by how much."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from m3ddm_core.video.file import FileSource
from tests.helpers.video_parts import Film, Tone, patched, remuxed, write_film


@pytest.mark.parametrize("name", ["plain.mkv", "plain.mp4", "plain.avi", "plain.ts", "plain.webm", "plain.gif"])
def test_a_whole_file_has_lost_nothing(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    codec, pixels = {"webm": ("libvpx", "yuv420p"), "gif": ("gif", "rgb8")}.get(name[6:], ("h264", "yuv420p"))
    sound = [] if name.endswith(("webm", "gif")) else [Tone(codec="mp2" if name.endswith("ts") else "aac", rate=48000)]
    source = FileSource(write_film(tmp_path / name, Film(codec, pixels, frames=30), *sound))
    assert len(source.info.timeline) == 30 and not caplog.messages


def test_what_an_edit_list_cuts_away_is_not_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As phones trim their videos: the frames stay in the file, and no player shows them."""
    path = write_film(tmp_path / "trimmed.mp4", Film("h264", frames=20, options={"bf": "0"}))
    source = FileSource(patched(path, b"elst", 12, struct.pack(">I", 5 * 512)))
    assert len(source.info.timeline) == 15 and not caplog.messages


@pytest.mark.parametrize("codec", ["mpeg4", "h264", "mjpeg"])
@pytest.mark.parametrize("damaged", [[0], [5], [5, 6, 11], range(8, 20)])
def test_frames_that_cannot_be_decoded_are_counted(
    tmp_path: Path, codec: str, damaged: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    film = Film(codec, "yuvj420p" if codec == "mjpeg" else "yuv420p", frames=20, options={"g": "6"})
    whole = write_film(tmp_path / "whole.mkv", film)
    source = FileSource(remuxed(whole, tmp_path / "film.mkv", damaged={0: damaged}))
    lost = 20 - len(source.info.timeline)
    assert lost >= len(damaged), "what hangs on them may be lost too"
    assert f"film.mkv is damaged: {lost} of its 20 frames are lost" in caplog.text
    assert len(list(source.frames())) == 20 - lost


@pytest.mark.parametrize(
    ("name", "codec", "says"),
    [
        ("front.mp4", "mjpeg", r"front.mp4 is damaged and breaks off: \d+ of its 20 frames are lost"),
        ("cut.mkv", "ffv1", r"cut.mkv breaks off: it ends after 0\.\d of 0\.8 seconds"),
        ("cut.flv", "flv", r"cut.flv breaks off: it ends after 0\.\d of 0\.8 seconds"),
    ],
)
def test_a_file_that_breaks_off(
    tmp_path: Path, name: str, codec: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_film(tmp_path / name, Film(codec, pixels, frames=20), options=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source = FileSource(path)
    assert 3 <= len(source.info.timeline) < 20
    assert len(caplog.messages) == 1 and re.search(says, caplog.messages[0])


def test_what_is_lost_of_a_part_is_told_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = write_film(tmp_path / "whole.mkv", Film(frames=20))
    path = remuxed(whole, tmp_path / "film.mkv", damaged={0: [3, 4]})
    assert len(FileSource(path, most=10).info.timeline) == 10
    assert len(FileSource(path, 0.08, 0.4).info.timeline) == 8
    assert ["2 of the frames asked for" in message for message in caplog.messages] == [True, True]
