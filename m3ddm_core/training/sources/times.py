"""Which frames of a video are a clip's, and which its global ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import masks
from ..config import Data

LONGER = (1.0, 3.0)
"""A video that is made is so many times as long as its clip: what the clip does not see may be in it, or nowhere."""


@dataclass(frozen=True, eq=False)
class Times:
    """Frame numbers of a clip and its global frames, in a video of ``frames`` frames."""

    clip: np.ndarray
    everywhere: np.ndarray
    stride: int
    frames: int

    @property
    def all(self) -> np.ndarray:
        """Those of the clip, then the global ones."""
        return np.concatenate([self.clip, self.everywhere])


def draw_times(rng: np.random.Generator, data: Data) -> Times:
    """Draw a clip of any stride, and how long a video it is of."""
    stride = masks.draw_stride(rng, data.max_stride * data.frames, data.frames, data.max_stride, data.strides)
    span = stride * (data.frames - 1) + 1
    frames = int(min(max(data.video_frames, span), span * rng.uniform(*LONGER)))
    return _times(data, stride, int(rng.integers(frames - span + 1)), 0, frames)


def draw_times_within(rng: np.random.Generator, data: Data, frames: int) -> Times:
    """Draw a clip of a shot of ``frames`` frames, of no more than ``video_frames`` of which it is taken to be."""
    length = min(frames, data.video_frames)
    stride = masks.draw_stride(rng, length, data.frames, data.max_stride, data.strides)
    first = int(rng.integers(frames - length + 1))
    start = first + int(rng.integers(length - stride * (data.frames - 1)))
    return _times(data, stride, start, first, length)


def _times(data: Data, stride: int, start: int, first: int, length: int) -> Times:
    everywhere = np.linspace(first, first + length - 1, data.global_count, dtype=int)
    return Times(start + stride * np.arange(data.frames), everywhere, stride, length)
