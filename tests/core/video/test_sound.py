"""The sound of a video, whatever its channels, rates and tracks, from the first frame to the end of the last."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from m3ddm_core.video.file import FileSource
from m3ddm_core.video.sound import PLACED, Converter, aac_layout, packed_frame
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.writer import write_video
from tests.helpers.video_parts import Film, Tone, listed_channels, remuxed, write_film


def samples(video: Any) -> np.ndarray:
    """(channels, samples): all of a video's sound."""
    return np.concatenate(list(video.sound.blocks()), axis=1)


def tones(sound: np.ndarray, rate: int) -> list[int]:
    """The loudest frequency of each channel in Hz, 0 where it is silent."""
    spectrum = np.abs(np.fft.rfft(sound, axis=1))
    loudest = np.fft.rfftfreq(sound.shape[1], 1 / rate)[spectrum.argmax(1)]
    return [int(round(hertz, -2)) if channel.max() > 0.01 else 0 for hertz, channel in zip(loudest, sound, strict=True)]


def saved(video: Any) -> FileSource:
    """What becomes of a video when it is written and read again."""
    file = io.BytesIO()
    write_video(file, video.frames(), video.info, video.sound)
    return FileSource(file)


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac", "flac"])
@pytest.mark.parametrize(
    ("layout", "kept"),
    [("mono", 1), ("stereo", 2), ("5.1", 6), ("6.1", 2), ("7.1", 8)],
)
def test_any_number_of_loudspeakers(tmp_path: Path, codec: str, layout: str, kept: int) -> None:
    path = write_film(tmp_path / "loud.mkv", None, Tone(layout, codec, rate=44100))
    source = FileSource(path)
    sound, again = samples(source), samples(saved(source))
    assert sound.shape == (kept, 14112) == again.shape
    if kept > 2:
        # The fourth is for low tones alone, and AAC cuts others off.
        heard = [tone for number, tone in enumerate(tones(sound, 44100)) if number != 3 or codec != "aac"]
        assert heard == [200 * (number + 1) for number in range(kept) if number != 3 or codec != "aac"]
    assert np.abs(sound).max() > 0.1 and np.abs(again).max() > 0.1


@pytest.mark.parametrize("channels", [7, 8, 9, 10, 16, 24])
def test_channels_without_a_place(tmp_path: Path, channels: int) -> None:
    """They are kept in order where AAC has room for so many, else mixed evenly."""
    source = FileSource(write_film(tmp_path / "many.mkv", None, Tone(f"{channels} channels")))
    sound = samples(source)
    if channels == 8:
        assert tones(sound, 8000) == [200, 400, 600, 800, 1000, 1200, 1400, 1600]
    else:
        assert len(sound) == 2 and np.array_equal(sound[0], sound[1]) and np.abs(sound).max() > 0.02
    assert samples(saved(source)).shape == sound.shape


@pytest.mark.parametrize("layout", sorted(PLACED))
def test_every_layout_that_ffmpeg_mixes(layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    convert = Converter(48000, aac_layout(channels))
    parts = [*convert(packed_frame(np.full((channels, 4800), 0.1, np.float32), 48000, 0, layout)), *convert.rest()]
    sound = np.concatenate([part for _, part in parts], axis=1)
    assert sound.shape == (av.AudioLayout(aac_layout(channels)).nb_channels, 4800) and sound.max() > 0.01


READ = """
import sys
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.sound import PLACED, Converter, aac_layout, packed_frame
for _ in range(3):
    print(sum(block.shape[1] for block in FileSource(sys.argv[1]).sound.blocks()))
"""


def test_channels_that_are_listed_do_not_end_the_process(tmp_path: Path) -> None:
    """QuickTime may list channels in an order that has no name, which PyAV frees twice."""
    path = listed_channels(write_film(tmp_path / "listed.mov", None, Tone("2.1")), (2, 1, 4))
    run = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert (run.returncode, run.stdout.split()) == (0, ["2560"] * 3), run.stderr


def test_sound_that_changes_on_the_way(tmp_path: Path) -> None:
    """As broadcasts do before an advertisement: it goes on in the channels and at the rate that it began with."""
    parts = [
        write_film(tmp_path / f"{number}.ts", Film("mpeg2video", frames=10), tone)
        for number, tone in enumerate(
            [
                Tone("5.1", "ac3", 48000, 0.4),
                Tone("stereo", "ac3", 48000, 0.4),
                Tone("mono", "ac3", 44100, 0.4),
            ]
        )
    ]
    (tmp_path / "all.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    source = FileSource(tmp_path / "all.ts")
    sound = samples(source)
    assert (source.sound.rate, source.sound.layout, len(source.info.timeline)) == (48000, "5.1", 30)
    assert sound.shape == (6, round(source.info.timeline.seconds * 48000))
    for part in (sound[:, :9600], sound[:, 24000:33600], sound[:, 43200:]):
        assert np.abs(part).max() > 0.1
    assert saved(source).sound.layout == "5.1"


@pytest.mark.parametrize(("name", "codec"), [("aac.mp4", "aac"), ("ac3.mkv", "ac3"), ("mp2.ts", "mp2")])
def test_a_first_packet_that_is_broken(tmp_path: Path, name: str, codec: str) -> None:
    """What comes after it is kept, and stays where it was: in a TS file to within the packet whose time is lost."""
    whole = write_film(tmp_path / f"whole_{name}", Film(frames=16), Tone("stereo", codec, 48000, 0.64))
    source = FileSource(remuxed(whole, tmp_path / name, damaged={1: [0]}))
    sound, intact = samples(source), samples(FileSource(whole))
    early = intact.shape[1] - sound.shape[1]
    assert early == 0 or (name == "mp2.ts" and early == 1152)
    assert np.corrcoef(sound[0, 9600:24000], intact[0, early:][9600:24000])[0, 1] > 0.99


@pytest.mark.parametrize("rate", [7350, 8000, 11025, 40000, 44056, 48000, 96000, 176400, 192000, 384000])
def test_any_rate_from_memory(rate: int) -> None:
    times = torch.arange(rate) / rate
    waveform = 0.5 * torch.sin(2 * torch.pi * torch.tensor([[400.0], [800.0]]) * times)
    video = TensorSource(torch.rand(25, 16, 16, 3), Fraction(25), waveform, rate)
    sound = samples(video)
    assert sound.shape == (2, video.sound.rate) and tones(sound, video.sound.rate) == [400, 800]
    assert samples(saved(video)).shape == sound.shape


@pytest.mark.parametrize("channels", [1, 3, 7, 8, 9, 16])
def test_any_number_of_channels_from_memory(channels: int) -> None:
    video = TensorSource(torch.rand(5, 16, 16, 3), Fraction(25), torch.full((channels, 1600), 0.25), 8000)
    sound = samples(video)
    assert sound.shape[1] == 1600 and np.allclose(sound, 0.25, atol=1e-6), "all are alike, and so is what is mixed"
    assert samples(saved(video)).shape == sound.shape


@pytest.mark.parametrize(
    ("waveform", "rate", "says"),
    [
        (torch.tensor([[0.0, float("nan")]]), 8000, "NaN or infinite"),
        (torch.tensor([[0.0, float("-inf")]]), 8000, "NaN or infinite"),
        (torch.zeros(1, 800), 0, "0 samples a second"),
        (torch.zeros(1, 800), -8000, "-8000 samples a second"),
        (torch.zeros(800), 8000, r"shape \(800,\)"),
    ],
)
def test_what_is_no_sound_is_told_at_once(waveform: torch.Tensor, rate: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TensorSource(torch.rand(2, 16, 16, 3), Fraction(25), waveform, rate)


def test_the_default_track_is_kept_and_the_others_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    microphone = Tone(level=0, title="Microphone", default=False)
    caplog.set_level(logging.INFO)
    for order in ([microphone, Tone(title="Mix")], [Tone(title="Mix"), microphone]):
        source = FileSource(write_film(tmp_path / "game.mkv", None, *order))
        assert np.abs(samples(source)).max() > 0.4
        assert "Mix" in caplog.messages[-1].split("is kept")[0] and "Microphone" in caplog.messages[-1]
    unsaid = [Tone(default=False), Tone(level=0, default=False)]
    assert np.abs(samples(FileSource(write_film(tmp_path / "unsaid.mkv", None, *unsaid)))).max() > 0.4, "the first"


def test_a_track_that_is_broken_throughout_gives_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = write_film(tmp_path / "two.mkv", None, Tone(codec="ac3", rate=48000), Tone(codec="flac", default=False))
    source = FileSource(remuxed(whole, tmp_path / "broken.mkv", damaged={1: range(99)}))
    assert np.abs(samples(source)).max() > 0.4 and "sound track 1 (ac3) can be decoded" in caplog.text


@pytest.mark.parametrize("starts", [0.0, 0.02, 0.04, 0.2])
def test_sound_begins_when_it_begins(tmp_path: Path, starts: float) -> None:
    source = FileSource(write_film(tmp_path / "late.mkv", None, Tone(starts=starts)))
    first = int((np.abs(samples(source)[0]) > 0.01).argmax())
    assert first == pytest.approx(starts * 8000, abs=2)


def test_first_frames_without_stamps_keep_their_time(tmp_path: Path) -> None:
    """Matroska files may begin before 0, and then their first frames have no stamps: sound is not early for it."""
    film, tone = Film("mpeg4", frames=25), Tone(starts=0.6, seconds=0.2)
    whole = write_film(tmp_path / "whole.mkv", film, tone)
    source = FileSource(remuxed(whole, tmp_path / "early.mkv", shift=-0.4))
    seconds = [source.info.timeline.second(frame) for frame in range(25)]
    assert seconds == pytest.approx([frame / 25 for frame in range(25)], abs=2e-3)
    loud = np.abs(samples(source)[0]) > 0.01
    assert loud.argmax() / 8000 == pytest.approx(0.6, abs=5e-3)


def test_a_clock_that_leaps_does_not_fill_the_memory(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 3, *range(10**9, 10**9 + 4)]
    source = FileSource(write_film(tmp_path / "leap.mkv", Film("ffv1", stamps=stamps), Tone()))
    assert source.info.timeline.seconds == pytest.approx(8 / 25, abs=2e-3) and samples(source).shape == (1, 2560)
