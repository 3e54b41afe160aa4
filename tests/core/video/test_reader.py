"""Files read from beginning to end, and what they say of themselves."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from av.stream import Disposition

from m3ddm_core.video.file import FileSource
from m3ddm_core.video.reader import BrokenVideo, read_facts, read_pictures
from m3ddm_core.video.source import VideoInfo
from m3ddm_core.video.writer import write_lossless
from tests.helpers.clip_files import damaged_copy, encoded_file, rotated_file, write_clip
from tests.helpers.moving_clips import moving_clip


@pytest.mark.parametrize("rotation", [0, 90, -90, 180])
def test_pictures_are_those_that_are_outpainted(tmp_path: Path, rotation: int) -> None:
    path = rotated_file(tmp_path / "phone.mp4", rotation, num_frames=5)
    pictures = torch.stack(list(read_pictures(path)))
    assert torch.equal(pictures, torch.stack(list(FileSource(path).frames())))
    assert pictures[:, :20].min() > 0.8 and pictures[:, -20:].max() < 0.2


def test_bytes_are_read_as_a_file(tmp_path: Path) -> None:
    path = encoded_file(tmp_path / "plain.mp4", moving_clip(0).frames)
    data = io.BytesIO(path.read_bytes())
    data.seek(100)
    for file in (path, str(path), data, data):
        assert len(list(read_pictures(file))) == 6 and read_facts(file).rate == 10


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    facts = read_facts(write_clip(tmp_path / "plain.mp4", moving_clip(0).frames, 30000 / 1001, comment="what it is"))
    assert (facts.rate, facts.sound, facts.metadata["comment"]) == (Fraction(30000, 1001), False, "what it is")
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        container.metadata["comment"] = "with sound"
        pictures = container.add_stream("h264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        container.add_stream("pcm_s16le", rate=8000, layout="mono")
        container.mux(pictures.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(pictures.encode(None))
    facts = read_facts(tmp_path / "sound.mkv")
    assert facts.sound and facts.metadata["comment"] == "with sound", "which Matroska writes as COMMENT"


def test_a_damaged_file_is_not_read_in_part(tmp_path: Path) -> None:
    path = encoded_file(tmp_path / "plain.mkv", moving_clip(0, frames=20).frames)
    path = damaged_copy(path, tmp_path / "damaged.mkv", 10)
    assert 15 <= len(list(FileSource(path).frames())) < 20, "which passes over it"
    with pytest.raises(BrokenVideo, match=r"cannot be read \(Invalid data"):
        list(read_pictures(path))


def test_a_file_without_pictures_is_broken(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        container.add_stream("pcm_s16le", rate=8000, layout="mono")
    for read in (read_facts, lambda file: list(read_pictures(file))):
        with pytest.raises(BrokenVideo):
            read(tmp_path / "sound.wav")


@pytest.mark.parametrize("size", [(32, 24), (33, 25)])
def test_lossless_files_give_bytes_back(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    every = torch.arange(4 * height * width * 3).remainder(256).reshape(4, height, width, 3).to(torch.uint8)
    write_lossless(tmp_path / "exact.mkv", every / 255, VideoInfo.even(size, 4, 12.5))
    again = torch.stack(list(read_pictures(tmp_path / "exact.mkv")))
    assert torch.equal((again * 255).round().to(torch.uint8), every)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "which is empty"),
        (b"words", "cannot be read"),
        (b"1\n00:00:00,000 --> 00:00:01,000\nWords\n", "without pictures"),
    ],
)
def test_what_is_in_memory_is_told_as_that(data: bytes, says: str) -> None:
    with pytest.raises(BrokenVideo, match=f"got the video in memory, .*{says}"):
        FileSource(io.BytesIO(data))


@pytest.mark.parametrize(
    ("dispositions", "shown"),
    [
        ((0, 0), 0),
        ((Disposition.default, Disposition.default), 0),
        ((0, Disposition.default), 1),
    ],
)
def test_of_several_pictures_the_one_that_players_show(
    tmp_path: Path, dispositions: tuple[int, int], shown: int
) -> None:
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in dispositions]
        for number, (stream, disposition) in enumerate(zip(streams, dispositions, strict=True)):
            stream.width, stream.height, stream.pix_fmt = 32 + 16 * number, 32, "yuv420p"
            stream.disposition = disposition
        for stream in streams:
            container.mux(stream.encode(av.VideoFrame(stream.width, 32, "yuv420p")))
            container.mux(stream.encode(None))
    assert FileSource(tmp_path / "two.mkv").info.size == (32 + 16 * shown, 32)
