"""Every kind of file that is written: what comes back, and what is refused beforehand."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from m3ddm_core.video.file import FileSource
from m3ddm_core.video.formats import FORMATS, SUFFIXES, Encoding
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.timeline import Timeline
from m3ddm_core.video.writer import write_video

PQ, HLG = (9, 9, 16), (9, 9, 18)
"""Matrix, primaries and transfer of HDR television, by FFmpeg's numbers."""
FILMS = [name for name, kind in FORMATS.items() if kind.containers]
LEVELS = 400
"""Greys: more than eight bits have."""
ASKED = {"hevc": {"quality": 4}, "h264": {"quality": 4}}


def greys(bit_depth: int = 8, frames: int = 3) -> TensorSource:
    """Wide frames in which each column is a little brighter than the one before, with a tone."""
    ramp = torch.linspace(0.2, 0.6, LEVELS).repeat_interleave(2)
    images = ramp[None, None, :, None].expand(frames, 16, -1, 3)
    tone = torch.sin(torch.arange(960 * frames) / 20)[None]
    return TensorSource(images, Fraction(25), tone, 24000, bit_depth)


def written(video: TensorSource, folder: Path, name: str, **asked) -> Path:
    path = folder / f"out{FORMATS[name].suffix}"
    encoding = Encoding(name, **{**ASKED.get(name, {}), **asked})
    write_video(path, video.frames(), video.info, video.sound, encoding=encoding, metadata={"prompt": {"1": "ü"}})
    return path


@pytest.mark.parametrize("colours", [PQ, HLG, (1, 1, 1)], ids=["pq", "hlg", "sdr"])
@pytest.mark.parametrize("name", FILMS)
def test_ten_bits_and_their_colours_come_back(name, colours, tmp_path):
    video = greys(bit_depth=10)
    video.info = replace(video.info, **dict(zip(("matrix", "primaries", "transfer"), colours, strict=True)))
    again = FileSource(str(written(video, tmp_path, name)))
    assert (again.info.matrix, again.info.primaries, again.info.transfer) == colours
    assert again.info.bit_depth == 10 and again.info.size == (2 * LEVELS, 16)
    frames = torch.stack(list(again.frames()))
    assert len(frames) == 3
    assert (frames - video.images).abs().max() < 3 / 1023
    assert len(frames[0, 8, :, 1].mul(1023).round().unique()) > 300, "which eight bits cannot tell apart"
    with av.open(str(tmp_path / f"out{FORMATS[name].suffix}")) as container:
        frame = next(container.decode(video=0))
        assert frame.format.is_rgb or frame.color_range == 1


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "prores"])
def test_eight_bits_unless_the_source_has_more(name, tmp_path):
    path = written(greys(), tmp_path, name)
    with av.open(str(path / "000001.png" if path.is_dir() else path)) as container:
        assert max(part.bits for part in next(container.decode(video=0)).format.components) == 8


@pytest.mark.parametrize("name", FILMS)
def test_times_sound_and_metadata_come_back(name, tmp_path):
    video = greys(frames=5)
    video.info = replace(video.info, timeline=Timeline(Fraction(1, 1000), (0, 20, 100, 101, 150), 200, Fraction(25)))
    again = FileSource(str(written(video, tmp_path, name)))
    times = [float(time * again.info.timeline.time_base) for time in again.info.timeline.times]
    assert times == pytest.approx([0, 0.02, 0.1, 0.101, 0.15], abs=1e-3)
    sound = np.concatenate(list(again.sound.blocks()), axis=1)
    assert sound.shape[1] / again.sound.rate == pytest.approx(0.2, abs=0.002)
    assert np.abs(sound).max() > 0.9
    texts = {key.lower(): text for key, text in again.info.metadata.items()}
    assert json.loads(texts["prompt"]) == {"1": "ü"}


@pytest.mark.parametrize(("name", "odd"), [("prores", (34, 25)), ("ffv1", (35, 25))])
def test_odd_sides_where_they_can_be(name, odd, tmp_path):
    video = TensorSource(torch.full((2, odd[1], odd[0], 3), 0.5), Fraction(25))
    assert FileSource(str(written(video, tmp_path, name))).info.size == odd


def test_lossless_is_that(tmp_path):
    noise = torch.rand(3, 24, 40, 3, generator=torch.Generator().manual_seed(0))
    for bits, largest in ((8, 255), (10, 1023)):
        video = TensorSource((noise * largest).round() / largest, Fraction(25), bit_depth=bits)
        frames = torch.stack(list(FileSource(str(written(video, tmp_path, "ffv1"))).frames()))
        assert torch.equal((frames * largest).round(), (video.images * largest).round())


def test_a_quality_and_a_bit_rate_decide_the_size(tmp_path):
    noise = TensorSource(torch.rand(8, 64, 64, 3, generator=torch.Generator().manual_seed(0)), Fraction(25))
    for name in ("h264", "hevc"):
        sizes = {}
        for asked in ({"quality": 10}, {"quality": 45}, {"quality": None, "bit_rate": 50_000}):
            sizes[str(asked)] = written(noise, tmp_path, name, **asked).stat().st_size
        fine, coarse, rated = sizes.values()
        assert fine > 2 * coarse and fine > 2 * rated


def test_other_containers_go_by_their_suffix(tmp_path):
    video = greys()
    for suffix, form in ((".mov", "mov"), (".MKV", "matroska")):
        write_video(tmp_path / f"x{suffix}", video.frames(), video.info, video.sound, encoding=Encoding("hevc"))
        with av.open(str(tmp_path / f"x{suffix}")) as container:
            assert form in container.format.name


def test_hevc_is_called_what_apple_asks_for(tmp_path):
    with av.open(str(written(greys(), tmp_path, "hevc"))) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


WRONG = [
    (("avi",), "got the format 'avi', expected one of h264, hevc"),
    (("prores", 8), "got a bit depth of 8 for prores, expected 10"),
    (("ffv1", None, 18), "got a quality of 18 for ffv1, expected none"),
    (("png", None, None, 5), "got a bit rate of 5 for png"),
    (("ffv1", None, None, None, "fast"), "got a preset of fast for ffv1, expected none"),
    (("h264", None, 60), "got a quality of 60, expected 0"),
    (("h264", None, float("nan")), "got a quality of nan"),
    (("h264", None, 20, 5), "got a quality of 20 and a bit rate of 5, expected one"),
    (("h264", None, None, 0), "got a bit rate of 0, expected bits a second"),
]


@pytest.mark.parametrize(("asked", "message"), WRONG)
def test_what_cannot_be_asked_for_is_told(asked, message):
    with pytest.raises(ValueError, match=message):
        Encoding(*asked)


def test_names_go_with_formats():
    for name, kind in FORMATS.items():
        Encoding(name).require_name(Path(f"a{kind.suffix}"))
        wrong = ".gif" if kind.containers else next(iter(SUFFIXES))
        with pytest.raises(ValueError, match=f"a{wrong} to write to, expected the name"):
            Encoding(name).require_name(Path(f"a{wrong}"))
    with pytest.raises(ValueError, match=r"a\.mov to write to, .* for the format ffv1; --format h264 writes \.mov"):
        Encoding("ffv1").require_name(Path("a.mov"))


def test_an_encoder_that_is_not_there_is_named(monkeypatch):
    for name in FORMATS:
        Encoding(name).require_encoder()
    monkeypatch.setitem(FORMATS, "hevc", replace(FORMATS["hevc"], encoder="libx26five"))
    with pytest.raises(ValueError, match=r"the format hevc, for which .* has no encoder libx26five"):
        Encoding("hevc").require_encoder()
