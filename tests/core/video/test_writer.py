"""What is written can be read again; what cannot be finished is not left behind."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from m3ddm_core.frames import NonFiniteFrames
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.timeline import Timeline
from m3ddm_core.video.writer import write_video

RATE = Fraction(25)
ROOT = Path(__file__).resolve().parents[3]


def source(frames: int = 6, width: int = 32, height: int = 24, seconds: float = 0.0) -> TensorSource:
    columns = torch.linspace(0, 1, width).expand(frames, height, width)
    images = torch.stack([columns, 1 - columns, columns / 2], dim=-1)
    sound = torch.sin(torch.arange(int(seconds * 8000)) / 3)[None] if seconds else None
    return TensorSource(images, RATE, sound, 8000)


def written(video: TensorSource, **options) -> io.BytesIO:
    file = io.BytesIO()
    write_video(file, video.frames(), video.info, video.sound, **options)
    return file


@pytest.mark.parametrize("seconds", [0.0, 0.24, 0.1, 5.0])
def test_a_way_through_a_file(seconds):
    video = source(seconds=seconds)
    again = FileSource(written(video, encoding=Encoding(quality=1)))
    assert again.info.size == (32, 24) and again.info.timeline.seconds == video.info.timeline.seconds == 0.24
    frames = torch.stack(list(again.frames()))
    assert (frames - video.images)[:, :, 2:-2].abs().max() < 0.05
    assert (again.info.matrix, again.info.primaries, again.info.transfer) == (1, 1, 1)
    length = sum(block.shape[1] for block in again.sound.blocks()) / again.sound.rate if again.sound else 0
    assert length == pytest.approx(min(seconds, 0.24), abs=0.06 if seconds == 0.1 else 0.001)


def test_uneven_times_are_kept():
    video = source()
    timeline = Timeline(Fraction(1, 600), (0, 20, 100, 101, 400, 407), 1000, RATE)
    video.info = type(video.info)((32, 24), timeline)
    again = FileSource(written(video)).info.timeline
    seconds = [float(time * again.time_base) for time in again.times]
    assert seconds == pytest.approx([time / 600 for time in timeline.times])
    assert again.seconds == pytest.approx(1000 / 600)


def test_silence_where_there_is_no_sound(tmp_path):
    """A second of sound, half a second of nothing, half a second of sound."""
    with av.open(str(tmp_path / "gap.mkv"), "w") as container:
        pictures = container.add_stream("h264", rate=25, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 32, 24, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(50):
            grey = np.full((24, 32, 3), number, np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(pictures.encode(None))
        for number in range(20):
            if not 10 <= number < 15:
                block = av.AudioFrame.from_ndarray(np.full((1, 800), 9000, np.int16), format="s16", layout="mono")
                block.sample_rate, block.pts = 8000, 800 * number
                container.mux(sound.encode(block))
    blocks = FileSource(str(tmp_path / "gap.mkv")).sound.blocks()
    loud = np.concatenate(list(blocks), axis=1)[0] != 0
    assert loud.shape == (16000,)
    assert loud[:8000].all() and not loud[8000:12000].any() and loud[12000:].all()


def test_odd_sides_are_refused():
    with pytest.raises(ValueError, match=r"33x24, expected even sides"):
        written(source(width=33))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_frames_that_are_no_colours_are_refused(tmp_path, value):
    video = source()
    video.images[4, 3, 2] = value
    with pytest.raises(NonFiniteFrames, match="got NaN or infinity to be written in frame 4"):
        write_video(tmp_path / "a.mp4", video.frames(), video.info)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to_disk", [True, False])
def test_frames_that_end_early_leave_no_file(tmp_path, to_disk):
    video = source()
    file = str(tmp_path / "short.mp4") if to_disk else io.BytesIO()
    with pytest.raises(ValueError, match="got 4 frames, expected 6"):
        write_video(file, list(video.frames())[:4], video.info)
    assert not list(tmp_path.iterdir()) if to_disk else not file.getvalue()


FILLED = """
import json, os, resource, sys, torch
from pathlib import Path
from m3ddm_core.video.writer import write_lossless, write_video
from tests.core.video.test_writer import source

folder, video = Path(sys.argv[1]), source(12, 64, 48, seconds=0.5)
video.images = torch.rand(video.images.shape, generator=torch.Generator().manual_seed(0))
ways = {
    "a.mp4": lambda path: write_video(path, video.frames(), video.info, video.sound),
    "a.mkv": lambda path: write_lossless(path, video.frames(), video.info),
}
for name, write in ways.items():
    write(folder / name)
    size = (folder / name).stat().st_size
    (folder / name).unlink()
    for room in (0, 48, 5000, size // 3, size - 700, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            write(folder / name)
            said = "written"
        except OSError as error:
            said = str(error)
        print(json.dumps([name, room, said, sorted(os.listdir(folder)), len(os.listdir("/dev/fd"))]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    write(folder / name)
    (folder / name).unlink()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a bound on the size of files")
def test_where_there_is_no_room_nothing_is_left_and_the_next_file_is_written(tmp_path):
    """However much of the file there was room for: the rest is refused when it is written, closed, or rearranged."""
    command = [sys.executable, "-c", FILLED, str(tmp_path)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(rows) == 12
    for name, room, said, left, handles in rows:
        assert said.startswith(f"{tmp_path / name} could not be written: File too large"), (name, room, said)
        assert left == [] and handles == rows[0][-1], (name, room, left, handles)
