"""Frames and sound to files of any of the `FORMATS`, one frame at a time."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from torch import Tensor

from ..frames import require_finite, resize
from .formats import EIGHT_BIT, Encoding
from .pictures import PictureMaker
from .sequence import write_pictures
from .sound import Sound
from .sound_writer import SoundWriter
from .source import VideoInfo
from .whole import telling, whole_file

if TYPE_CHECKING:
    from av.container import OutputContainer

LOSSLESS = Encoding("ffv1", bit_depth=EIGHT_BIT)
FOR_LOOKING, LONGEST_FOR_LOOKING = 28, 640
"""Quality, and pixels of the longest side, of a copy that is shown while the file itself cannot be."""
FOR_FILMS = {"mp4", "mov"}
"""Containers with an index, which is better at the front, and with room for metadata of any name."""


def write_video(
    path: str | os.PathLike[str] | IO[bytes],
    frames: Iterable[Tensor],
    info: VideoInfo,
    sound: Sound | None = None,
    *,
    encoding: Encoding | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write frames (h, w, 3), float, 0..1, at the times of ``info`` to a file, or into an open one.

    ``info`` tells size, times, colours and metadata; ``metadata`` is added to that, and what is no text written as
    JSON. ``encoding``: the kind of file and its quality, by default H.264 in MP4. A file, or a folder of pictures,
    appears when it is whole.

    Raises ValueError for sides that the format does not take, for fewer frames than there are times, and for
    frames with NaN or infinity (`NonFiniteFrames`); `CannotWrite` where the system refuses to write.
    """
    encoding = encoding or Encoding()
    encoding.require_sides(info.size)
    texts = {**info.metadata, **{key: _as_text(value) for key, value in (metadata or {}).items()}}
    if not encoding.kind.containers:
        write_pictures(path, frames, info, sound, encoding=encoding, metadata=texts)
        return
    with _output(path, encoding) as container:
        container.metadata.update(texts)
        picture = PictureWriter(container, info, encoding)
        voice = SoundWriter(container, sound, encoding.kind.sound) if sound else None
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
    write_video(path, frames, info, encoding=LOSSLESS)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def written_beside(frames: Iterable[Tensor], path: Path, info: VideoInfo) -> Iterator[Tensor]:
    """Pass frames (h, w, 3) on, and write them small, without sound, to an MP4 file for looking at, on their way."""
    encoding = Encoding(bit_depth=EIGHT_BIT, quality=FOR_LOOKING)
    scale = min(LONGEST_FOR_LOOKING / max(info.size), 1)
    size = tuple(max(2 * round(side * scale / 2), 2) for side in info.size)
    with _output(path, encoding) as container:
        picture = PictureWriter(container, replace(info, size=size), encoding)
        for frame in frames:
            picture.write(resize(frame[None].float().cpu(), size)[0])
            yield frame
        picture.finish()


class PictureWriter:
    """The video stream of a file that is being written."""

    def __init__(self, container: OutputContainer, info: VideoInfo, encoding: Encoding):
        kind, coding = encoding.kind, encoding.coding(info.bit_depth)
        self.container, self.info = container, info
        self.stream = stream = container.add_stream(kind.encoder, rate=info.timeline.rate)
        stream.width, stream.height = info.size
        stream.pix_fmt, stream.options = coding.stored, encoding.options(info.light)
        context = stream.codec_context
        context.time_base = info.timeline.time_base
        # Frames that are stored out of order would have durations of that order: uneven times would be lost.
        context.max_b_frames = 0
        context.sample_aspect_ratio = Fraction(1)
        if encoding.bit_rate:
            context.bit_rate = encoding.bit_rate
        if kind.tag and container.format.name in FOR_FILMS:
            context.codec_tag = kind.tag
        self.made = PictureMaker(coding, info)
        self.made.tag(context)
        self.written = 0
        self.durations: dict[int, int] = {}

    def write(self, frame: Tensor) -> None:
        timeline = self.info.timeline
        require_finite(frame[None], self.written, "to be written", "Check what the source's frames are made from")
        picture = self.made(frame)
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


@contextmanager
def _output(path: str | os.PathLike[str] | IO[bytes], encoding: Encoding) -> Iterator[OutputContainer]:
    """A file that is being written: beside its own name until it is whole, or into an open one, emptied on failure."""
    named = isinstance(path, (str, os.PathLike))
    form = encoding.container(Path(path).suffix if named else "")
    if named:
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
    container = av.open(file, mode="w", format=form, options={"movflags": flags} if form in FOR_FILMS else {})
    try:
        yield container
    except BaseException:
        # The first error is what is to be told: a disk that is full refuses this too.
        with suppress(av.FFmpegError):
            container.close()
        raise
    container.close()
