"""Encoders of pictures, one for each shot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from torch import Tensor

from ..frames import require_finite
from .formats import Encoding
from .pictures import PictureMaker
from .shots import Packet
from .source import VideoInfo

GLOBAL_HEADER = 1 << 22
"""FFmpeg's flag for what all frames have in common to stand in the container, once."""
RATE_TOLERANCE = 128_000
"""PyAV's own for streams of containers, in bits."""


def set_up(context: Any, info: VideoInfo, encoding: Encoding) -> PictureMaker:
    """Tell an encoder, by its codec context, what it is to write; returns what makes the frames that it is given."""
    coding = encoding.coding(info.bit_depth)
    context.width, context.height = info.size
    context.pix_fmt, context.options = coding.stored, encoding.options(info.light)
    context.framerate, context.time_base = info.timeline.rate, info.timeline.time_base
    # Frames that are stored out of order would have durations of that order: uneven times would be lost.
    context.max_b_frames = 0
    context.sample_aspect_ratio = Fraction(1)
    context.bit_rate, context.bit_rate_tolerance = encoding.bit_rate or 0, RATE_TOLERANCE
    made = PictureMaker(coding, info)
    made.tag(context)
    return made


class ShotEncoder:
    """Encodes the frames of a video from a number on, by themselves: times count from the first."""

    def __init__(self, info: VideoInfo, encoding: Encoding, first: int):
        import av

        self._info, self._first, self._number = info, first, first
        self._context = av.CodecContext.create(encoding.kind.encoder, "w")
        self._make = set_up(self._context, info, encoding)
        if encoding.kind.containers:
            self._context.flags |= GLOBAL_HEADER
        else:
            # More than one would hold pictures back.
            self._context.thread_count = 1

    def write(self, frame: Tensor) -> Iterator[Packet]:
        """Encode the next frame (h, w, 3); yields those that are ready, in order. Raises `NonFiniteFrames`."""
        require_finite(frame[None], self._number, "to be written", "Check what the source's frames are made from")
        timeline, picture = self._info.timeline, self._make(frame)
        picture.pts = timeline.times[self._number] - timeline.times[self._first]
        picture.time_base = timeline.time_base
        self._number += 1
        return self._packets(picture)

    def finish(self) -> Iterator[Packet]:
        """Yield those that are left."""
        return self._packets(None)

    def _packets(self, picture: Any) -> Iterator[Packet]:
        return ((packet.is_keyframe, bytes(packet)) for packet in self._context.encode(picture))


def machine() -> tuple[Any, ...]:
    """What decides, beside pictures and settings, the bytes that encoders make of them here: x264 goes by the number of
    processors."""
    import av

    has_affinity = hasattr(os, "sched_getaffinity")
    processors = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    return av.__version__, sorted(av.library_versions.items()), processors
