"""Frames and sound to files, one frame at a time.

H.264 and AAC for people to look at, FFV1 for frames that must come back as they were.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..frames import require_finite
from .sound import Sound, packed_frame
from .source import TEN_BIT, VideoInfo
from .whole import telling, whole_file

if TYPE_CHECKING:
    from av.container import OutputContainer

KNOWN_MATRICES = {1, 4, 5, 6, 7, 9}
"""Those of colours that FFmpeg converts to, by its numbers."""


@dataclass(frozen=True)
class Coding:
    """How pictures are stored: FFmpeg's names of the codec, of the pixels in the file, and of those it is given.

    ``kind`` and ``largest``: numpy's type of the latter, and what white is in them.
    """

    codec: str
    stored: str
    given: str
    kind: type[np.unsignedinteger]
    largest: int


EIGHT_BIT_H264 = Coding("h264", "yuv420p", "rgb24", np.uint8, 255)
# Sixteen bits hold what floats have for ten.
TEN_BIT_H264 = Coding("h264", "yuv420p10le", "rgb48le", np.uint16, 65535)
LOSSLESS = Coding("ffv1", "bgr0", "rgb24", np.uint8, 255)


def write_video(
    path: str | os.PathLike[str] | IO[bytes],
    frames: Iterable[Tensor],
    info: VideoInfo,
    sound: Sound | None = None,
    *,
    bit_depth: int | None = None,
    crf: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write frames (h, w, 3), float, 0..1, at the times of ``info`` to an MP4 file, or into an open one.

    ``info`` tells size, times, colours and metadata; ``metadata`` is added to that, and what is no text written as
    JSON. ``bit_depth`` (10 and above is 10, less is 8; default: that of ``info``) and ``crf`` (x264's quality, lower is
    better) are the encoder's. A file appears when it is whole.

    Raises ValueError for sides that are odd, which H.264 does not take, for fewer frames than there are times, and for
    frames with NaN or infinity (`NonFiniteFrames`); `CannotWrite` where the system refuses to write.
    """
    width, height = info.size
    if width % 2 or height % 2:
        raise ValueError(
            f"got frames of {width}x{height}, expected even sides, which H.264 asks for; size_multiple 2 does"
        )
    coding = TEN_BIT_H264 if (bit_depth or info.bit_depth) >= TEN_BIT else EIGHT_BIT_H264
    with _output(path, "mp4") as container:
        for key, value in {**info.metadata, **(metadata or {})}.items():
            container.metadata[key] = value if isinstance(value, str) else json.dumps(value)
        picture = PictureWriter(container, info, coding, {} if crf is None else {"crf": str(crf)})
        voice = SoundWriter(container, sound) if sound else None
        for count, frame in enumerate(frames, start=1):
            picture.write(frame)
            if voice:
                voice.write_until(info.timeline.second(count))
        picture.finish()
        if voice:
            voice.finish()


def write_lossless(path: str | os.PathLike[str], frames: Iterable[Tensor], info: VideoInfo) -> None:
    """Write frames (h, w, 3), float, 0..1, to a Matroska file from which they come back as they were in bytes.

    The file appears when it is whole. Raises ValueError for fewer frames than there are times, and `CannotWrite`.
    """
    with _output(path, "matroska") as container:
        picture = PictureWriter(container, info, LOSSLESS, {})
        for frame in frames:
            picture.write(frame)
        picture.finish()


class PictureWriter:
    """The video stream of a file that is being written."""

    def __init__(self, container: OutputContainer, info: VideoInfo, coding: Coding, options: dict[str, str]):
        from av.video.reformatter import VideoReformatter

        self.container, self.info, self.coding = container, info, coding
        self.stream = stream = container.add_stream(coding.codec, rate=info.timeline.rate)
        stream.width, stream.height = info.size
        stream.pix_fmt, stream.options = coding.stored, options
        context = stream.codec_context
        context.time_base = info.timeline.time_base
        # Frames that are stored out of order would have durations of that order: uneven times would be lost.
        context.max_b_frames = 0
        context.sample_aspect_ratio = Fraction(1)
        self.colours: dict[str, int | None] = {}
        if not stream.format.is_rgb:
            context.colorspace, context.color_primaries, context.color_trc = info.matrix, info.primaries, info.transfer
            context.color_range = 1
            matrix = info.matrix if info.matrix in KNOWN_MATRICES else None
            self.colours = {"dst_colorspace": matrix, "dst_color_range": 1}
        self.reformatter = VideoReformatter()
        self.written = 0
        self.durations: dict[int, int] = {}

    def write(self, frame: Tensor) -> None:
        import av

        timeline, largest = self.info.timeline, self.coding.largest
        require_finite(frame[None], self.written, "to be written", "Check what the source's frames are made from")
        pixels = (frame.float() * largest).round_().clamp_(0, largest).cpu().numpy().astype(self.coding.kind)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=self.coding.given)
        picture = self.reformatter.reformat(picture, format=self.coding.stored, **self.colours)
        time = timeline.times[self.written]
        picture.pts, picture.time_base = time, timeline.time_base
        self.written += 1
        following = timeline.times[self.written] if self.written < len(timeline) else timeline.end
        self.durations[time] = following - time
        self._mux(self.stream.encode(picture))

    def finish(self) -> None:
        """Write what is still to be written. Raises ValueError where there were fewer frames than times."""
        if self.written < len(self.info.timeline):
            raise ValueError(f"got {self.written} frames, expected {len(self.info.timeline)}")
        self._mux(self.stream.encode(None))

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            packet.duration = self.durations.pop(packet.pts, 0)
            self.container.mux(packet)


class SoundWriter:
    """The sound stream of a file that is being written, kept level with its pictures."""

    def __init__(self, container: OutputContainer, sound: Sound):
        self.container, self.sound = container, sound
        self.stream = container.add_stream("aac", rate=sound.rate, layout=sound.layout)
        self.blocks: Iterator[np.ndarray] = sound.blocks()
        self.written = 0

    def write_until(self, second: float) -> None:
        """Write as many blocks as begin before a time."""
        while self.written < second * self.sound.rate:
            block = next(self.blocks, None)
            if block is None:
                self.written = math.inf
                return
            frame = packed_frame(block, self.sound.rate, self.written, self.sound.layout)
            self.container.mux(self.stream.encode(frame))
            self.written += block.shape[1]

    def finish(self) -> None:
        self.write_until(math.inf)
        self.container.mux(self.stream.encode(None))


@contextmanager
def _output(path: str | os.PathLike[str] | IO[bytes], form: str) -> Iterator[OutputContainer]:
    """A file that is being written: beside its own name until it is whole, or into an open one, emptied on failure."""
    if isinstance(path, (str, os.PathLike)):
        with telling(path), whole_file(path) as part, _container(part, form) as container:
            yield container
        return
    try:
        with telling("the video"), _container(path, form) as container:
            yield container
    except BaseException:
        if isinstance(path, io.BytesIO):
            path.seek(0)
            path.truncate()
        raise


@contextmanager
def _container(file: Path | IO[bytes], form: str) -> Iterator[OutputContainer]:
    import av

    # The index is moved to the front by opening the file again, which only works for one that has a name.
    flags = "use_metadata_tags+faststart" if isinstance(file, Path) else "use_metadata_tags"
    container = av.open(file, mode="w", format=form, options={"movflags": flags} if form == "mp4" else {})
    try:
        yield container
    except BaseException:
        # The first error is what is to be told: a disk that is full refuses this too.
        with suppress(av.FFmpegError):
            container.close()
        raise
    container.close()
