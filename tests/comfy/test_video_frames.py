"""M3DDM Video Frames gives what a player shows, where ComfyUI's own node gives what is stored."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch


def wide_file(path: Path) -> str:
    """A clip of 72x54 pixels twice as wide as high, mirrored, bright on the left as it is stored; a tone in mono."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 72, 54, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        stream.set_display_rotation(0, True, False)
        sound = container.add_stream("aac", rate=48000, layout="mono")
        pixels = np.full((54, 72, 3), 40, np.uint8)
        pixels[:, :36] = 200
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        samples = np.sin(np.arange(11520) / 20).astype(np.float32)[None]
        tone = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        tone.sample_rate = 48000
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    return str(path)


def test_frames_are_those_that_a_player_shows(pack: Any, load_video: Any, tmp_path: Path) -> None:
    images, audio, fps = pack.run("M3DDM_VideoFrames", video=load_video(wide_file(tmp_path / "wide.mp4")))
    assert images.shape == (6, 54, 144, 3) and fps == 25.0
    assert images[:, :, :60].mean() < 0.3 < 0.6 < images[:, :, -60:].mean()
    assert audio["waveform"].shape == (1, 1, 11520) and audio["sample_rate"] == 48000
    placed = pack.edge_mask(images, target="16:9", canvas_size=64)[2]
    assert placed.placement.target == (144, 82), "of the 8:3 that is seen"


def test_frames_in_memory_are_passed_on(pack: Any, components: Any, shot: Any) -> None:
    frames = shot(1, 5)
    images, audio, fps = pack.run("M3DDM_VideoFrames", video=components(frames))
    assert torch.equal(images, frames) and fps == 25.0 and audio["waveform"].shape == (1, 2, 1600)


def test_what_is_no_video_is_told(pack: Any, load_video: Any, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"no\.mp4, which cannot be read"):
        pack.run("M3DDM_VideoFrames", video=load_video(str(tmp_path / "no.mp4")))
