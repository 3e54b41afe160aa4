"""The table of odd, broken and hostile videos: each is right, or told in one line, soon and in little room."""

from __future__ import annotations

import io
import resource
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from m3ddm_core.video.file import FileSource
from m3ddm_core.video.indexed import IndexedVideo
from m3ddm_core.video.reader import BrokenVideo, read_facts, read_pictures
from m3ddm_core.video.writer import write_video
from tests.helpers.odd_videos import ODD_VIDEOS, Odd

SECONDS = 5.0
"""Of processor time, which a busy machine lengthens little; none took 0.3 where this was written."""
MEGABYTES = 200
LONGEST_LINE = 500
BLOCK = 16
"""Pixels that lossy codecs take together: what is smaller is no picture."""

ROWS = [pytest.param(odd, id=odd.name[:40]) for kind in ODD_VIDEOS.values() for odd in kind]


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("odd", ROWS)
def test_one_outcome_each(odd: Odd, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = tmp_path / odd.name
    odd.make(path)
    before, begun = peak(), time.process_time()
    try:
        source = FileSource(path)
        frames = torch.stack(list(source.frames()))
        sound = np.concatenate(list(source.sound.blocks()), axis=1) if source.sound else None
        refusal = ""
    except BrokenVideo as error:
        refusal = str(error)
    assert time.process_time() - begun < SECONDS and peak() - before < MEGABYTES
    if refusal:
        assert odd.frames is None or (isinstance(odd.frames, tuple) and odd.frames[0] == 0), refusal
        assert str(path) in refusal or "in one video" in refusal
        assert "\n" not in refusal and len(refusal) < LONGEST_LINE + len(str(path)) and "expected" in refusal
        assert odd.says in refusal
        return
    assert odd.frames is not None, "it was to be refused"
    assert odd.says in caplog.text or odd.says == ""
    is_right(odd, source, frames, sound)


def is_right(odd: Odd, source: FileSource, frames: torch.Tensor, sound: np.ndarray | None) -> None:
    least, most = odd.frames if isinstance(odd.frames, tuple) else (odd.frames, odd.frames)
    assert least <= len(frames) == len(source.info.timeline) <= most
    assert torch.isfinite(frames).all() and frames.shape[1:3] == source.info.size[::-1]
    assert odd.size in (None, source.info.size)
    assert odd.seconds is None or source.info.timeline.seconds == pytest.approx(odd.seconds, abs=2e-3)
    times = source.info.timeline.times
    assert times[0] == 0 and all(one < other for one, other in pairwise(times))
    channels = 0 if sound is None else len(sound)
    assert channels == odd.channels or isinstance(odd.channels, tuple)
    if channels and not isinstance(odd.channels, tuple):
        assert np.abs(sound).max() > 0.01 and np.isfinite(sound).all()
    if odd in ODD_VIDEOS["turned and mirrored"] or min(source.info.size) < BLOCK or odd in ODD_VIDEOS["damaged"]:
        return
    # The last frame of a file that breaks off may be half of one.
    frames = frames[:-1] if odd in ODD_VIDEOS["broken off"] else frames
    bright, dark = frames[:, : BLOCK // 2].mean((1, 2, 3)), frames[:, -BLOCK // 2 :].mean((1, 2, 3))
    assert (bright - dark > 0.2).all(), "bright above and dark below, as they were drawn"


SAVED = [
    pytest.param(odd, id=odd.name)
    for kind in ("containers and codecs", "times", "sound", "broken off", "tables and frames that claim too much")
    for odd in ODD_VIDEOS[kind]
    if odd.frames is not None
]


@pytest.mark.parametrize("odd", SAVED)
def test_what_is_read_can_be_saved(odd: Odd, tmp_path: Path) -> None:
    """Clocks, rates and sound that no file could hold would only show after all sampling."""
    path, file = tmp_path / odd.name, io.BytesIO()
    odd.make(path)
    try:
        source = FileSource(path)
    except BrokenVideo:
        return
    write_video(file, source.frames(), source.info, source.sound)
    again = FileSource(file)
    assert len(again.info.timeline) == len(source.info.timeline)
    assert again.info.timeline.seconds == pytest.approx(source.info.timeline.seconds, abs=0.01)
    assert (again.sound is None) == (source.sound is None)
    assert again.sound is None or again.sound.layout == source.sound.layout


@pytest.mark.parametrize("odd", ROWS)
def test_strict_readers_tell_in_one_line_too(odd: Odd, tmp_path: Path) -> None:
    """Those of evaluation and training, which read no damaged file."""
    path = tmp_path / odd.name
    odd.make(path)
    for read in (read_facts, lambda path: list(read_pictures(path)), lambda path: IndexedVideo.of(path).read([0])):
        try:
            read(path)
        except BrokenVideo as error:
            assert odd.frames is None or isinstance(odd.frames, tuple) or odd in ODD_VIDEOS["damaged"], error
            assert str(path) in str(error) and "\n" not in str(error) and "expected" in str(error)


def test_the_table_is_as_long_as_the_page_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "odd_videos.md").read_text(encoding="utf-8")
    for kind, odds in ODD_VIDEOS.items():
        assert f"| {kind} | {len(odds)} |" in page
    assert f"{len(ROWS)} files" in page
