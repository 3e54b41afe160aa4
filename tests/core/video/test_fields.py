"""Interlaced files come out as whole frames, at their times; others, and those that are to be left, as they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from m3ddm_core.video.file import FileSource

WIDTH, HEIGHT, FRAMES = 96, 64, 8
PARITY = {"top": 0, "bottom": 1}


def moment(time: float) -> np.ndarray:
    """A bar that crosses the picture, (h, w), soft so that its lines could be read out of half of them."""
    centre = 10 + 5 * time
    return 40 + 160 * np.exp(-(((np.arange(WIDTH) - centre) / 6) ** 2))[None].repeat(HEIGHT, 0)


def interlaced(path: Path, first: str = "top", flagged: bool = True, frames: int = FRAMES) -> Path:
    """A file of frames whose two fields are half a frame apart."""
    options = {"crf": "8", "preset": "veryfast", "bf": "2"}
    if flagged:
        options["x264-params"] = "tff=1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        flag = flagging(first)
        for number in range(frames):
            grey = np.empty((HEIGHT, WIDTH))
            grey[PARITY[first] :: 2], grey[1 - PARITY[first] :: 2] = (
                moment(number + part)[PARITY[first] if not part else 1 - PARITY[first] :: 2] for part in (0, 0.5)
            )
            pixels = np.stack([grey] * 3, -1).round().astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(flag(frame) if flagged else frame))
        container.mux(stream.encode(None))
    return path


def flagging(first: str) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """Make what has a frame say which of its fields is first: x264 asks each."""
    graph = av.filter.Graph()
    entry = graph.add_buffer(width=WIDTH, height=HEIGHT, format="yuv420p", time_base=Fraction(1, 25))
    setter, end = graph.add("setfield", "tff" if first == "top" else "bff"), graph.add("buffersink")
    entry.link_to(setter)
    setter.link_to(end)
    graph.configure()

    def flag(frame: av.VideoFrame) -> av.VideoFrame:
        entry.push(frame)
        return end.pull()

    # The ends live as long as the graph.
    flag.graph = graph
    return flag


def combing(frames: torch.Tensor) -> float:
    """How much each line differs from its two neighbours, where these agree."""
    light = frames.mean(-1)
    return float((light[:, 1:-1] - (light[:, :-2] + light[:, 2:]) / 2).abs().mean())


def read(path: Path, fields: str = "auto") -> torch.Tensor:
    return torch.stack(list(FileSource(str(path), fields=fields).frames()))


@pytest.mark.parametrize("first", ["top", "bottom"])
def test_flagged_frames_are_made_whole_one_for_one(first, tmp_path, caplog):
    path = interlaced(tmp_path / "a.mkv", first)
    with caplog.at_level(logging.INFO):
        source = FileSource(str(path))
    assert "a.mkv is interlaced; its frames are deinterlaced" in caplog.text
    frames = torch.stack(list(source.frames()))
    assert len(frames) == FRAMES == len(source.info.timeline)
    assert combing(frames) < 0.1 * combing(read(path, "off"))
    truth = np.stack([moment(number) for number in range(FRAMES)]) / 255
    # Between the first and the last frame, of which one neighbour is not there.
    assert np.abs(frames[1:-1].mean(-1).numpy() - truth[1:-1]).mean() < 0.01, "each shows its first field's moment"
    assert torch.equal(torch.stack(list(source.frames())), frames), "read again"


def test_unflagged_frames_are_left_unless_asked_for(tmp_path, caplog):
    path = interlaced(tmp_path / "a.mkv", flagged=False)
    with caplog.at_level(logging.INFO):
        assert torch.equal(read(path), read(path, "off"))
    assert "interlaced" not in caplog.text
    assert combing(read(path, "top")) < 0.1 * combing(read(path))


def test_being_left_is_said(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        read(interlaced(tmp_path / "a.mkv"), "off")
    assert "its frames are left as they are" in caplog.text


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_frames_are_as_many(count, tmp_path):
    assert len(read(interlaced(tmp_path / "a.mkv", frames=count))) == count


def test_a_part_of_a_file(tmp_path):
    path = interlaced(tmp_path / "a.mkv")
    whole = read(path)
    part = torch.stack(list(FileSource(str(path), 0.08, 0.12).frames()))
    assert len(part) == 3 and (part - whole[2:5]).abs().mean() < 0.01
    assert len(list(FileSource(str(path), most=2).frames())) == 2


def test_another_word_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got the fields 'tff', expected one of auto, off, top, bottom"):
        FileSource(str(tmp_path / "a.mkv"), fields="tff")
