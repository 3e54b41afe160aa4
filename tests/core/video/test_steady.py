"""A source that is overwritten, replaced, moved or unplugged while it is read: a line, never two videos in one."""

from __future__ import annotations

import errno
import io
import os
from fractions import Fraction

import pytest
import torch

from m3ddm_core.video import steady
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.steady import ChangedVideo, SteadyFile
from m3ddm_core.video.writer import write_video


def video(seed=0, frames=12):
    draw = torch.Generator().manual_seed(seed)
    sound = torch.rand(1, frames * 320, generator=draw) - 0.5
    return TensorSource(torch.rand(frames, 32, 48, 3, generator=draw), Fraction(25), sound, 8000)


def write(path, source):
    write_video(path, source.frames(), source.info, source.sound)


@pytest.fixture
def file(tmp_path):
    write(tmp_path / "in.mp4", video())
    return tmp_path / "in.mp4"


CHANGES = {
    "another video in its place": lambda file: write(file, video(seed=1)),
    "a longer one": lambda file: write(file, video(frames=20)),
    "overwritten where it lies": lambda file: file.write_bytes(file.read_bytes()[::-1]),
    "cut short": lambda file: os.truncate(file, file.stat().st_size // 2),
    "replaced by text": lambda file: file.write_text("no video"),
    "touched": lambda file: os.utime(file, ns=(0, 1)),
}
GONE = {
    "deleted": lambda file: file.unlink(),
    "moved": lambda file: file.rename(file.with_name("moved.mp4")),
    "its folder moved": lambda file: file.parent.rename(file.parent.with_name(f"{file.parent.name}_moved")),
}


def change(source, changes, file, part):
    """Read, change the file in the middle, and read on."""
    parts = {"frames": source.frames, "sound": source.sound.blocks}[part]()
    next(parts)
    changes(file)
    list(parts)


@pytest.mark.parametrize("part", ["frames", "sound"])
@pytest.mark.parametrize("kind", [*CHANGES, *GONE])
def test_a_change_is_found_out_while_the_file_is_read_and_before(file, kind, part):
    source = SteadyFile(str(file))
    assert len(list(source.frames())) == 12
    message = "has been changed since it was opened" if kind in CHANGES else r"can no longer be read \(No such file"
    with pytest.raises(ChangedVideo, match=rf"in\.mp4, which {message}"):
        change(source, {**CHANGES, **GONE}[kind], file, part)
    with pytest.raises(ChangedVideo, match=message):
        next(source.frames() if part == "frames" else source.sound.blocks())


def test_a_change_while_it_is_opened_is_found_out(file):
    def on_frame(done, expected):
        if done == 12:
            write(file, video(seed=1))

    with pytest.raises(ChangedVideo):
        SteadyFile(file, on_frame=on_frame)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_share_that_goes_away_is_told(file, number, monkeypatch):
    source = SteadyFile(file)

    def broken():
        yield torch.zeros(32, 48, 3)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(source._source, "frames", broken)
    with pytest.raises(ChangedVideo, match=rf"can no longer be read \({os.strerror(number)}\).* bring it back"):
        list(source.frames())


def test_what_stays_is_read_as_often_as_one_likes(file):
    from_bytes, from_path = SteadyFile(io.BytesIO(file.read_bytes())), SteadyFile(file)
    for _ in range(2):
        for ours, theirs in zip(from_path.frames(), from_bytes.frames(), strict=True):
            assert torch.equal(ours, theirs)
    assert steady.Stamp.of(file) == from_path.stamp


def test_a_file_that_never_was_is_the_readers_to_refuse(tmp_path):
    with pytest.raises((ValueError, OSError), match=r"gone\.mp4"):
        SteadyFile(str(tmp_path / "gone.mp4"))
