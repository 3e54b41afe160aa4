"""Shots are written each by itself: one comes out the same whatever the others are, encoded now or copied."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction

import av
import pytest
import torch

from m3ddm_core.frames import NonFiniteFrames
from m3ddm_core.journal import pieces as piece_entries
from m3ddm_core.journal.pieces import PieceJournal
from m3ddm_core.journal.store import Journal
from m3ddm_core.video import film
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.shots import Shot
from m3ddm_core.video.sound import sound_of
from m3ddm_core.video.source import VideoInfo
from m3ddm_core.video.timeline import Timeline
from m3ddm_core.video.writer import write_shots, write_video

LENGTHS = [9, 14, 7]
FIRSTS = [0, 9, 23]
SIZE = (96, 64)
ENCODINGS = {
    "h264": Encoding(),
    "h264 by quality": Encoding(quality=14),
    "h264 by rate": Encoding(bit_rate=300_000),
    "h264 of ten bits": Encoding(bit_depth=10),
    "hevc": Encoding("hevc", quality=20),
    "hevc of ten bits": Encoding("hevc", bit_depth=10),
    "prores": Encoding("prores"),
    "ffv1": Encoding("ffv1"),
    "ffv1 of ten bits": Encoding("ffv1", bit_depth=10),
}
PNG = Encoding("png")
SUFFIXES = {"hevc of ten bits": ".mkv", "h264 by quality": ".mkv"}


def pictures(seed, length):
    wide = torch.nn.functional.interpolate(
        torch.rand(1, 3, 6, 10, generator=torch.Generator().manual_seed(seed)),
        (SIZE[1], SIZE[0] + length),
        mode="bilinear",
    )[0]
    return torch.stack([wide[:, :, step : step + SIZE[0]] for step in range(length)]).movedim(1, -1).contiguous()


class Video:
    """Three shots, of which ``seeds`` tell what they show, at uneven times and with sound."""

    def __init__(self, seeds=(1, 2, 3), even=False):
        self.seeds, count = seeds, sum(LENGTHS)
        times = tuple(number * 4 if even else number * 4 + number % 3 for number in range(count))
        self.info = VideoInfo(SIZE, Timeline(Fraction(1, 100), times, 4 * count + 9, Fraction(25)))
        self.sound = sound_of(torch.sin(torch.arange(10_000) / 5)[None], 8000)
        self.made = []

    def shots(self, keyed=True):
        for first, length, seed in zip(FIRSTS, LENGTHS, self.seeds, strict=True):
            yield Shot(first, first + length, self._frames(seed, length), f"seed {seed}" if keyed else None)

    def _frames(self, seed, length):
        for frame in pictures(seed, length):
            self.made.append(seed)
            yield frame

    def write(self, path, encoding, journal=None, keyed=True, **more):
        kept = PieceJournal(journal) if journal else None
        info = more.pop("info", self.info)
        write_shots(path, self.shots(keyed), info, self.sound, encoding=encoding, pieces=kept, **more)
        return path


def name_of(kind):
    return f"out{SUFFIXES.get(kind, ENCODINGS[kind].kind.suffix)}"


def content(path):
    """The bytes of a file; of Matroska, which has random numbers in its head, what is in it."""
    return path.read_bytes() if path.suffix != ".mkv" else packets(path, "video") + packets(path, "audio")


def packets(path, kind="video"):
    with av.open(str(path)) as container:
        stream = container.streams.get(**{kind: 0})[0]
        return [
            (packet.pts, packet.dts, packet.duration, packet.is_keyframe, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def changed(before, after):
    """The numbers of the shots of which any packet differs."""
    found = []
    for number, (first, length) in enumerate(zip(FIRSTS, LENGTHS, strict=True)):
        if before[first : first + length] != after[first : first + length]:
            found.append(number)
    return found


@pytest.mark.parametrize("kind", ENCODINGS)
def test_of_a_video_with_another_shot_only_its_packets_are_others(kind, tmp_path):
    encoding, journal, video = ENCODINGS[kind], Journal(tmp_path / "journal"), Video()
    before = packets(video.write(tmp_path / name_of(kind), encoding, journal))
    assert len(before) == sum(LENGTHS) and all(before[first][3] for first in FIRSTS)
    other = Video((1, 7, 3))
    after = packets(other.write(tmp_path / name_of(kind), encoding, journal))
    assert other.made == [7] * LENGTHS[1] and changed(before, after) == [1]
    plain = Video((1, 7, 3)).write(tmp_path / f"plain_{name_of(kind)}", encoding)
    assert content(plain) == content(tmp_path / name_of(kind)), "the file is the same without a journal"
    again = Video((1, 7, 3))
    again.write(tmp_path / name_of(kind), encoding, journal)
    assert again.made == [] and content(plain) == content(tmp_path / name_of(kind))


@pytest.mark.parametrize("kind", ENCODINGS)
def test_it_plays_as_it_is(kind, tmp_path):
    """Pictures, times and sound of what was joined are those of what was not."""
    video, encoding = Video(), ENCODINGS[kind]
    joined = FileSource(str(video.write(tmp_path / name_of(kind), encoding)))
    path = tmp_path / f"one_{name_of(kind)}"
    frames = torch.cat([pictures(seed, length) for seed, length in zip(video.seeds, LENGTHS, strict=True)])
    write_video(path, iter(frames), video.info, video.sound, encoding=encoding)
    one = FileSource(str(path))
    seconds = [[source.info.timeline.second(number) for number in range(31)] for source in (joined, one)]
    assert seconds[0] == seconds[1] and joined.info.size == one.info.size
    got = torch.stack(list(joined.frames()))
    assert (got - frames).abs().mean() < 0.02
    if kind.startswith(("ffv1", "prores")):
        assert torch.equal(got, torch.stack(list(one.frames())))
    blocks = [sum(block.shape[1] for block in source.sound.blocks()) for source in (joined, one)]
    assert blocks[0] == blocks[1] > 0


def test_a_folder_of_pictures_too(tmp_path):
    journal, video = Journal(tmp_path / "journal"), Video()
    video.write(tmp_path / "out", PNG, journal, metadata={"workflow": "one"})
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    other = Video((1, 7, 3))
    other.write(tmp_path / "out", PNG, journal, metadata={"workflow": "two"})
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert other.made == [7] * LENGTHS[1]
    apart = {name for name in before if before[name] != after[name]}
    assert apart == {"000001.png", *(f"{number + 1:06d}.png" for number in range(9, 23))}, "the first has the workflow"
    write_shots(tmp_path / "plain", Video((1, 7, 3)).shots(), video.info, video.sound, encoding=PNG)
    plain = {path.name: path.read_bytes() for path in (tmp_path / "plain").iterdir()}
    assert {name for name in plain if plain[name] != after[name]} == {"000001.png"}


def test_what_is_shown_meanwhile_is_copied_too(tmp_path):
    journal, video = Journal(tmp_path / "journal"), Video()
    for name in ("a", "b"):
        video.write(tmp_path / f"{name}.mov", ENCODINGS["prores"], journal, beside=tmp_path / f"{name}.mp4")
    assert video.made == [1] * 9 + [2] * 14 + [3] * 7
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert (tmp_path / "a.mov").read_bytes() == (tmp_path / "b.mov").read_bytes()
    video.write(tmp_path / "c.mov", ENCODINGS["prores"], beside=tmp_path / "c.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()
    assert not FileSource(str(tmp_path / "a.mp4")).sound


DECIDES = {
    "the quality": {"encoding": Encoding(quality=30)},
    "the rate": {"encoding": Encoding(bit_rate=90_000)},
    "the depth": {"encoding": Encoding(bit_depth=10)},
    "the preset": {"encoding": Encoding(preset="veryslow")},
    "the format": {"encoding": Encoding("hevc")},
    "the colours": {"info": replace(Video().info, matrix=9, primaries=9, transfer=16)},
    "the source's depth": {"info": replace(Video().info, bit_depth=10)},
    "the times": {"info": Video(even=True).info},
    "the size": {"info": replace(Video().info, size=(64, 64))},
}


@pytest.mark.parametrize("name", DECIDES)
def test_whatever_decides_the_bytes_has_them_made_anew(name, tmp_path):
    journal, changed = Journal(tmp_path / "journal"), DECIDES[name]
    Video().write(tmp_path / "a.mp4", Encoding(), journal)
    video = Video()
    given = {"encoding": Encoding(), **changed}
    video.write(tmp_path / "b.mp4", journal=journal, **given)
    assert len(video.made) == sum(LENGTHS)
    Video().write(tmp_path / "plain.mp4", **given)
    assert (tmp_path / "plain.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("what", ["FORMAT", "machine"])
def test_another_code_or_machine_makes_them_anew(what, tmp_path, monkeypatch):
    journal, video = Journal(tmp_path / "journal"), Video()
    video.write(tmp_path / "a.mp4", Encoding(), journal)
    monkeypatch.setattr(film, what, 99 if what == "FORMAT" else lambda: ("another", 64))
    video.write(tmp_path / "a.mp4", Encoding(), journal)
    assert len(video.made) == 2 * sum(LENGTHS)


def test_what_does_not_decide_them_does_not(tmp_path):
    """A shot is known at another time of another video, in another container, with other sound."""
    journal, video = Journal(tmp_path / "journal"), Video(even=True)
    video.write(tmp_path / "a.mp4", Encoding(), journal, metadata={"title": "one"})
    video.made.clear()
    for name in ("b.mkv", "c.mov"):
        video.write(tmp_path / name, Encoding(), journal)
    assert video.made == [] and len(packets(tmp_path / "b.mkv")) == sum(LENGTHS)
    times = tuple(4 * number for number in range(LENGTHS[2]))
    info = replace(video.info, timeline=Timeline(Fraction(1, 100), times, 4 * LENGTHS[2] + 9, Fraction(25)))
    shots = [Shot(0, LENGTHS[2], iter(()), "seed 3")]
    write_shots(tmp_path / "d.mp4", shots, info, encoding=Encoding(), pieces=PieceJournal(journal))
    alone, whole = packets(tmp_path / "d.mp4"), packets(tmp_path / "a.mp4")
    assert [packet[-1] for packet in alone] == [packet[-1] for packet in whole[FIRSTS[2] :]]


def test_a_shot_without_a_key_is_made_every_time(tmp_path):
    journal, video = Journal(tmp_path / "journal"), Video()
    for _ in range(2):
        video.write(tmp_path / "a.mp4", Encoding(), journal, keyed=False)
    assert len(video.made) == 2 * sum(LENGTHS) and not journal.folder.exists()


@pytest.mark.parametrize("kind", ["h264", "hevc", "prores", "ffv1"])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_shot_that_is_there_in_part_is_made_to_the_same_bytes(kind, lost, tmp_path, monkeypatch):
    monkeypatch.setattr(piece_entries, "PART_BYTES", 600)
    encoding, journal, video = ENCODINGS[kind], Journal(tmp_path / "journal"), Video()
    whole = content(video.write(tmp_path / name_of(kind), encoding, journal))
    entries = sorted(journal.folder.iterdir())
    assert len(entries) > 3
    for path in entries[lost::2]:
        path.unlink()
    assert content(video.write(tmp_path / name_of(kind), encoding, journal)) == whole
    video.made.clear()
    assert content(video.write(tmp_path / name_of(kind), encoding, journal)) == whole and video.made == []


def test_a_damaged_piece_is_passed_over_with_one_warning(tmp_path, caplog):
    journal, video = Journal(tmp_path / "journal"), Video()
    whole = video.write(tmp_path / "a.mp4", Encoding(), journal).read_bytes()
    for path in journal.folder.iterdir():
        data = bytearray(path.read_bytes())
        data[-2] ^= 4
        path.write_bytes(data)
    assert video.write(tmp_path / "a.mp4", Encoding(), journal).read_bytes() == whole
    assert caplog.text.count("cannot be used") == 1 and len(video.made) == 2 * sum(LENGTHS)


def test_without_room_it_is_made_again(tmp_path):
    journal, video = Journal(tmp_path / "journal", most_bytes=100), Video()
    files = [video.write(tmp_path / "a.mp4", Encoding(), journal).read_bytes() for _ in range(2)]
    assert files[0] == files[1] and len(video.made) == 2 * sum(LENGTHS)


def test_every_frame_is_told_of(tmp_path):
    journal, told = Journal(tmp_path / "journal"), []
    for _ in range(2):
        Video().write(tmp_path / "a.mp4", Encoding(), journal, on_frame=told.append)
    assert told == 2 * list(range(1, sum(LENGTHS) + 1))


class Stopped(Exception):
    pass


@pytest.mark.parametrize("copied", [False, True])
def test_one_who_stops_leaves_no_file(copied, tmp_path):
    def stop(number):
        if number == 12:
            raise Stopped

    journal = Journal(tmp_path / "journal")
    if copied:
        Video().write(tmp_path / "a.mp4", Encoding(), journal).unlink()
    with pytest.raises(Stopped):
        Video().write(tmp_path / "a.mp4", Encoding(), journal, on_frame=stop, beside=tmp_path / "b.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
    video = Video()
    video.write(tmp_path / "a.mp4", Encoding(), journal)
    assert (1 in video.made) is False, "the shot that was whole is kept"


def test_a_shot_that_ends_early_is_refused(tmp_path):
    video = Video()
    shots = list(video.shots())
    shots[1] = replace(shots[1], frames=iter(pictures(2, 3)))
    with pytest.raises(ValueError, match="got 12 frames, expected 30"):
        write_shots(tmp_path / "a.mp4", shots, video.info, encoding=Encoding())
    with pytest.raises(ValueError, match="got 9 frames, expected 30"):
        write_shots(tmp_path / "a.mp4", list(video.shots())[:1], video.info, encoding=Encoding())
    broken = pictures(2, 14)
    broken[4, 1, 1] = float("nan")
    shots = list(video.shots())
    shots[1] = replace(shots[1], frames=iter(broken))
    with pytest.raises(NonFiniteFrames, match="to be written in frame 13"):
        write_shots(tmp_path / "a.mp4", shots, video.info, encoding=Encoding())
    assert not list(tmp_path.iterdir())


def test_into_an_open_file(tmp_path):
    journal, files = Journal(tmp_path / "journal"), [io.BytesIO(), io.BytesIO()]
    for file in files:
        Video().write(file, Encoding(), journal)
    assert files[0].getvalue() == files[1].getvalue()
