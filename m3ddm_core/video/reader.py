"""Video files opened and decoded: what every reader of pictures goes through."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .pictures import PictureReader

if TYPE_CHECKING:
    from av.container import InputContainer

File = str | os.PathLike[str] | io.BytesIO
"""A path, or the bytes of a file."""

USUAL_RATE = Fraction(25)


class BrokenVideo(ValueError):
    """A file that cannot be read as a video, or not as far as it was to be read."""


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of itself: frames a second, whether it has sound, and metadata by its keys in small letters."""

    rate: Fraction
    sound: bool
    metadata: dict[str, str]


def read_facts(file: File) -> VideoFacts:
    """Open a video and decode nothing. Raises `BrokenVideo`."""
    with ffmpeg_errors(), open_file(file) as container:
        # Matroska writes its keys in capitals.
        metadata = {key.lower(): text for key, text in container.metadata.items()}
        return VideoFacts(rate_of(video_stream(container)), bool(container.streams.audio), metadata)


def read_pictures(file: File) -> Iterator[Tensor]:
    """Each frame of a video or picture file, in the order they are shown: (h, w, 3), float32, 0..1, upright.

    Raises `BrokenVideo` where any part of the pictures is damaged: what is whole before the damage depends on the
    decoder. `FileSource` reads on.
    """
    picture = PictureReader()
    with ffmpeg_errors(), open_file(file) as container:
        for frame in container.decode(video_stream(container)):
            yield torch.from_numpy(picture(frame))


@contextmanager
def open_file(file: File) -> Iterator[InputContainer]:
    """PyAV's container of a file, with a position of its own where the file is bytes; the bytes are shared."""
    import av

    with av.open(io.BytesIO(file.getvalue()) if isinstance(file, io.BytesIO) else file, mode="r") as container:
        yield container


def video_stream(container: InputContainer) -> Any:
    """The first video stream that is no cover picture, to be decoded by as many threads as there are cores.

    Raises `BrokenVideo` where there is none.
    """
    from av.stream import Disposition

    streams = sorted(container.streams.video, key=lambda stream: bool(stream.disposition & Disposition.attached_pic))
    if not streams:
        raise BrokenVideo("got a file without pictures, expected a video")
    streams[0].thread_type = "AUTO"
    return streams[0]


def rate_of(stream: Any) -> Fraction:
    """Frames a second, on average."""
    return Fraction(stream.average_rate or stream.guessed_rate or USUAL_RATE)


def decodable(container: InputContainer, stream: Any) -> Iterator[Any]:
    """What can be decoded of a stream from where the container stands: damaged packets are passed over."""
    import av

    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from decoded


@contextmanager
def ffmpeg_errors() -> Iterator[None]:
    """Raise `BrokenVideo` for what FFmpeg raises."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise BrokenVideo(f"got a file that cannot be read ({error.strerror}), expected a video") from error
