"""Video files opened and decoded: what every reader of pictures goes through."""

from __future__ import annotations

import ctypes
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..canvas.limits import MOST_AREA, MOST_SIDE
from .losses import Losses
from .pictures import PictureReader
from .shown import pixel_aspect
from .sound import lists_channels

if TYPE_CHECKING:
    from av import FFmpegError
    from av.container import InputContainer

File = str | os.PathLike[str] | io.BytesIO
"""A path, or the bytes of a file."""

USUAL_RATE, MOST_RATE = Fraction(25), Fraction(1000)

PLAYLISTS = {"hls", "concat", "dash", "imf", "sdp", "rtsp", "image2", "webvtt", "vapoursynth"}
"""FFmpeg's formats that only name other files or addresses, which a file from a stranger is not to have opened."""

REMEDY = "play it to see whether it is whole, copy it again, or convert it with a video editor"


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
    with open_file(file) as container:
        # Matroska writes its keys in capitals.
        metadata = {key.lower(): text for key, text in container.metadata.items()}
        return VideoFacts(rate_of(video_stream(container)), bool(container.streams.audio), metadata)


def read_pictures(file: File) -> Iterator[Tensor]:
    """Each frame of a video or picture file, in the order they are shown: (h, w, 3), float32, 0..1, as it is shown.

    Raises `BrokenVideo` where any part of the pictures is damaged: what is whole before the damage depends on the
    decoder. `FileSource` reads on.
    """
    with open_file(file) as container:
        stream = video_stream(container)
        picture = PictureReader(pixel_aspect(stream))
        for frame in decoded(container, stream):
            yield torch.from_numpy(picture(frame))


@contextmanager
def open_file(file: File) -> Iterator[InputContainer]:
    """PyAV's container of a file, with a position of its own where the file is bytes; the bytes are shared.

    Raises `BrokenVideo` for a file that cannot be opened, and for what FFmpeg raises while the container is used.
    """
    import av

    if isinstance(file, io.BytesIO):
        opened = io.BytesIO(file.getvalue())
        opened.name = name_of(file)
    else:
        # A name as it is may be taken for an address, as "take:2.mp4" is.
        opened = os.path.abspath(file)
    try:
        # Titles may be in any encoding.
        with av.open(opened, mode="r", metadata_errors="replace") as container:
            if PLAYLISTS & set(container.format.name.split(",")):
                raise BrokenVideo(f"got {name_of(file)}, a list of other files, expected a video; open one of those")
            yield container
    except av.FFmpegError as error:
        raise BrokenVideo(_cannot_be_read(file, error)) from error


def name_of(file: File) -> str:
    """What a file is called in messages."""
    return "the video in memory" if isinstance(file, io.BytesIO) else os.fspath(file)


def _cannot_be_read(file: File, error: FFmpegError) -> str:
    name = name_of(file)
    if isinstance(error, FileNotFoundError):
        return f"got {name}, where no file lies, expected a video; choose it again"
    if isinstance(error, PermissionError):
        return f"got {name}, which may not be read, expected a video; change who may read it"
    if not (file.getbuffer().nbytes if isinstance(file, io.BytesIO) else os.path.getsize(file)):
        return f"got {name}, which is empty, expected a video; copy it again"
    return f"got {name}, which cannot be read ({error.strerror}), expected a video; {REMEDY}"


def video_stream(container: InputContainer) -> Any:
    """The video stream that players show, to be decoded by as many threads as there are cores.

    That is the first which is no cover picture or the like, a default one before others. Raises `BrokenVideo` where
    there is none, where there is no decoder for it, and for frames that no memory holds.
    """
    streams = sorted(container.streams.video, key=_rank)
    if not streams:
        raise BrokenVideo(f"got {container.name}, a file without pictures, expected a video; choose another file")
    # A stream for which there is no decoder has no codec context, and decoding it would crash.
    decodable_streams = [stream for stream in streams if stream.codec_context is not None]
    if not decodable_streams:
        raise BrokenVideo(
            f"got {container.name}, whose pictures PyAV has no decoder for, expected a usual codec; convert it to H.264"
        )
    stream = decodable_streams[0]
    if max(stream.width, stream.height) > MOST_SIDE or stream.width * stream.height > MOST_AREA:
        raise BrokenVideo(
            f"got {container.name}, whose frames claim {stream.width}x{stream.height} pixels, expected sides up to "
            f"{MOST_SIDE} and {MOST_AREA} pixels at most; make it smaller first"
        )
    stream.thread_type = "AUTO"
    # The same where only the packets tell, or tell otherwise.
    stream.codec_context.options = {"max_pixels": str(MOST_AREA)}
    return stream


def _rank(stream: Any) -> tuple[bool, bool]:
    """How late a video stream comes in question."""
    from av.stream import Disposition

    beside = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent
    return bool(stream.disposition & beside), not stream.disposition & Disposition.default


def rate_of(stream: Any) -> Fraction:
    """Frames a second, on average. DV says that it has sixty thousand, which no encoder takes."""
    told = (rate for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= MOST_RATE)
    return Fraction(next(told, USUAL_RATE))


def decoded(container: InputContainer, stream: Any) -> Iterator[Any]:
    """PyAV's frames of a stream from where the container stands. What FFmpeg raises is passed on."""
    return (frame for packet in container.demux(stream) if not _repeats(packet) for frame in packet.decode())


def decodable(container: InputContainer, stream: Any, losses: Losses | None = None) -> Iterator[Any]:
    """What can be decoded of a stream from where the container stands: damaged packets are passed over.

    Where what is read makes no sense the stream ends there. ``losses`` counts both.
    """
    import av

    losses = losses if losses is not None else Losses()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        # A share that goes away is not the file's fault.
        except OSError:
            raise
        except av.FFmpegError:
            losses.broke_off = True
            return
        if packet is None:
            return
        if _repeats(packet):
            losses.unshown += 1
            continue
        losses.unshown += packet.is_discard
        losses.packets += bool(packet.size and not packet.is_discard)
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            losses.refused += 1
            continue
        if stream.type == "audio":
            _hold_layouts(frames)
        yield from frames


def _hold_layouts(frames: Iterable[Any]) -> None:
    """Keep the layouts of sound frames from being freed, where that would end the process.

    A layout that lists its channels may own memory, which PyAV shares between a frame and the frame's ``layout`` and
    frees with both. Held for good, the second does not free it; few files have such a layout.
    """
    for frame in frames:
        if lists_channels(frame.layout):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(frame.layout))


def _repeats(packet: Any) -> bool:
    """Whether a packet only says that the frame before is to stay, as Theora and AVI do. FFmpeg refuses to decode it.

    The packet that empties the decoder at the end has no stamps.
    """
    return not packet.size and not (packet.dts is None and packet.pts is None)
