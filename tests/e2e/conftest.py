"""A real ComfyUI server with the pack and clips, for all end-to-end tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from devtools import host as hosts
from devtools.server import Server
from tests.helpers import stand_ins

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ["M3DDM_JOURNAL"] = "0"  # no test finds what another has sampled

CLIP = hosts.PACK / "assets" / "big_buck_bunny.mp4"


@pytest.fixture(scope="session")
def host() -> hosts.Host:
    """The ComfyUI that run.py chose, or the one it would choose; nothing is installed from within a test."""
    found = hosts.find(hosts.TEST_MODULES, install=False)
    frontend = os.environ.get("M3DDM_FRONTEND")
    return replace(found, frontend=Path(frontend)) if frontend else found


@pytest.fixture(scope="session")
def clip() -> Path:
    """The clip that ships with the pack: 64 frames of 288x360 pixels with stereo sound."""
    return CLIP


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 48x64 pixels at 30000/1001 frames a second, moving, with a tone of 440 Hz."""
    return write_clip(tmp_path_factory.mktemp("clips") / "small.mp4", frames=20)


@pytest.fixture(scope="session")
def start(host: hosts.Host, small_clip: Path) -> Callable[..., AbstractContextManager[Server]]:
    """``with start(*arguments) as server``: a fresh server with both clips, and no models but the pack's own."""

    def make(*arguments: str) -> Server:
        return Server(host, models={}, inputs=[CLIP, small_clip], arguments=arguments)

    return make


@pytest.fixture(scope="session")
def server(start: Callable[..., AbstractContextManager[Server]]) -> Iterator[Server]:
    """The server that most tests share."""
    with start() as running:
        yield running


@pytest.fixture(scope="module")
def ready(server: Server) -> Server:
    """The server, with every file there that the templates name."""
    stand_ins.provide(server.base)
    return server


@pytest.fixture(scope="module")
def object_info(ready: Server) -> dict[str, Any]:
    """What it knows of its nodes."""
    return ready.client.object_info()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser that all tests share; each opens a page of its own."""
    from tests.helpers.real_frontend import launch

    with launch() as running:
        yield running


def write_clip(
    file: Path, frames: int, size: tuple[int, int] = (48, 64), rate: Fraction = Fraction(30000, 1001)
) -> Path:
    """Write a smooth moving pattern with a tone as H.264 and AAC; ``size`` is width, height."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    with av.open(str(file), "w") as container:
        video = container.add_stream("h264", rate=rate, options={"crf": "4"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for number in range(frames):
            waves = [
                np.sin((x * a + y * b + number * c) / 9) for a, b, c in ((1, 0.5, 2), (-0.5, 1, 3), (0.7, 0.7, -2))
            ]
            picture = (127.5 + 90 * np.stack(waves, -1)).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        samples = 0.3 * np.sin(2 * np.pi * 440 / 48000 * np.arange(int(48000 * frames / rate)))
        tone = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
        tone.sample_rate, tone.pts = 48000, 0
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    return file
