"""What stands in a video that was written, read by PyAV alone."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In dB, of values of 8 bits."""
    return 10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2))


def frames_of(video: Path) -> np.ndarray:
    """All frames (n, h, w, 3), 8 bits."""
    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def facts(video: Path) -> tuple[int, tuple[int, int], float, float, float]:
    """Frames, size, frame rate, seconds of sound and the sound's loudest sample."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        size, rate = (stream.width, stream.height), float(stream.average_rate)
        frames = sum(1 for _ in container.decode(stream))
    with av.open(str(video)) as container:
        sound = container.streams.audio[0]
        samples = [np.abs(frame.to_ndarray().astype(np.float64)) for frame in container.decode(sound)]
        seconds = sum(part.shape[-1] for part in samples) / sound.rate
    return frames, size, rate, seconds, max(float(part.max()) for part in samples)
