"""Frames and sound to an H.264 and AAC file, one frame at a time."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from .source import TEN_BIT, Sound, VideoInfo
from .timeline import Timeline

if TYPE_CHECKING:
    from av.container import OutputContainer


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
    better) are the encoder's. A file that could not be finished is removed.

    Raises ValueError for sides that are odd, which H.264 does not take, and for fewer frames than there are times.
    """
    width, height = info.size
    if width % 2 or height % 2:
        raise ValueError(
            f"got frames of {width}x{height}, expected even sides, which H.264 asks for; size_multiple 2 does"
        )
    with _output(path) as container:
        for key, value in {**info.metadata, **(metadata or {})}.items():
            container.metadata[key] = value if isinstance(value, str) else json.dumps(value)
        picture = PictureWriter(container, info, (bit_depth or info.bit_depth) >= TEN_BIT, crf)
        voice = SoundWriter(container, sound) if sound else None
        count = 0
        for count, frame in enumerate(frames, start=1):
            picture.write(frame)
            if voice:
                voice.write_until(info.timeline.second(count))
        if count < len(info.timeline):
            raise ValueError(f"got {count} frames, expected {len(info.timeline)}")
        picture.finish()
        if voice:
            voice.finish()


class PictureWriter:
    """The video stream of a file that is being written."""

    def __init__(self, container: OutputContainer, info: VideoInfo, ten_bit: bool, crf: float | None):
        from av.video.reformatter import VideoReformatter

        self.container, self.info = container, info
        self.stream = stream = container.add_stream("h264", rate=info.timeline.rate)
        stream.width, stream.height = info.size
        stream.pix_fmt = "yuv420p10le" if ten_bit else "yuv420p"
        stream.options = {} if crf is None else {"crf": str(crf)}
        context = stream.codec_context
        context.time_base = info.timeline.time_base
        # Frames that are stored out of order would have durations of that order: uneven times would be lost.
        context.max_b_frames = 0
        context.colorspace, context.color_primaries, context.color_trc = info.matrix, info.primaries, info.transfer
        context.color_range = 1
        context.sample_aspect_ratio = info.aspect
        # Sixteen bits hold what floats have for ten.
        self.levels, self.kind, self.name = (65535, np.uint16, "rgb48le") if ten_bit else (255, np.uint8, "rgb24")
        self.reformatter = VideoReformatter()
        self.written = 0
        self.durations: dict[int, int] = {}

    def write(self, frame: Tensor) -> None:
        import av

        timeline: Timeline = self.info.timeline
        pixels = (frame.float() * self.levels).round_().clamp_(0, self.levels).cpu().numpy().astype(self.kind)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=self.name)
        picture = self.reformatter.reformat(
            picture,
            format=self.stream.pix_fmt,
            dst_colorspace=self.info.matrix if self.info.matrix in (1, 4, 5, 6, 7, 9) else None,
            dst_color_range=1,
        )
        time = timeline.times[self.written]
        picture.pts, picture.time_base = time, timeline.time_base
        self.written += 1
        following = timeline.times[self.written] if self.written < len(timeline) else timeline.end
        self.durations[time] = following - time
        self._mux(self.stream.encode(picture))

    def finish(self) -> None:
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
        import av

        while self.written < second * self.sound.rate:
            block = next(self.blocks, None)
            if block is None:
                self.written = math.inf
                return
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self.sound.layout)
            frame.sample_rate, frame.pts, frame.time_base = self.sound.rate, self.written, Fraction(1, self.sound.rate)
            self.container.mux(self.stream.encode(frame))
            self.written += block.shape[1]

    def finish(self) -> None:
        self.write_until(math.inf)
        self.container.mux(self.stream.encode(None))


@contextmanager
def _output(path: str | os.PathLike[str] | IO[bytes]) -> Iterator[OutputContainer]:
    import av

    to_disk = isinstance(path, (str, os.PathLike))
    # The index is moved to the front by opening the file again, which only works for one that has a name.
    flags = "use_metadata_tags+faststart" if to_disk else "use_metadata_tags"
    container = av.open(path, mode="w", format="mp4", options={"movflags": flags})
    try:
        yield container
        container.close()
    except BaseException:
        # On a full disk closing fails as well, and what was written is to go all the same.
        with suppress(OSError):
            container.close()
        if to_disk:
            # Before the first packet there may be no file yet.
            with suppress(FileNotFoundError):
                os.remove(path)
        elif isinstance(path, io.BytesIO):
            path.seek(0)
            path.truncate()
        raise
