"""Frames and sound to files of any of the `FORMATS`, one frame at a time."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from torch import Tensor

from .encoder import set_up
from .film import Film, Sink
from .formats import EIGHT_BIT, Encoding
from .sequence import picture_folder
from .shots import Pieces, Shot, Shots
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
    """Write frames (h, w, 3), float, 0..1, at the times of ``info`` to a file, or into an open one, as one shot.

    The rest is as in `write_shots`.
    """
    shots = [Shot(0, len(info.timeline), iter(frames))]
    write_shots(path, shots, info, sound, encoding=encoding, metadata=metadata)


def write_shots(
    path: str | os.PathLike[str] | IO[bytes],
    shots: Shots,
    info: VideoInfo,
    sound: Sound | None = None,
    *,
    encoding: Encoding | None = None,
    metadata: Mapping[str, Any] | None = None,
    pieces: Pieces | None = None,
    beside: Path | None = None,
    on_frame: Callable[[int], None] = lambda number: None,
) -> None:
    """Write the shots of a video, each encoded by itself, at the times of ``info`` to a file, or into an open one.

    ``info`` tells size, times, colours and metadata; ``metadata`` is added to that, and what is no text written as
    JSON. ``encoding``: the kind of file and its quality, by default H.264 in MP4. A file, or a folder of pictures,
    appears when it is whole. ``pieces``: where encoded shots are kept, and copied from if an earlier run has encoded
    them; the file does not depend on it. ``beside``: where to write a small MP4 file without sound, for looking at.
    ``on_frame(number)`` hears of each frame, from 1, that is written.

    Raises ValueError for sides that the format does not take, for fewer frames than there are times, and for
    frames with NaN or infinity (`NonFiniteFrames`); `CannotWrite` where the system refuses to write.
    """
    encoding = encoding or Encoding()
    encoding.require_sides(info.size)
    texts = {**info.metadata, **{key: _as_text(value) for key, value in (metadata or {}).items()}}
    with ExitStack() as opened:
        films = []
        if beside is not None:
            small, looks = _for_looking(info), Encoding(bit_depth=EIGHT_BIT, quality=FOR_LOOKING)
            films.append(Film(opened.enter_context(_sink(beside, small, None, looks, {})), small, looks, pieces))
        films.append(Film(opened.enter_context(_sink(path, info, sound, encoding, texts)), info, encoding, pieces))
        number = made = copied = 0
        for shot in shots:
            missing = [film for film in films if not film.begin(shot)]
            made, copied = made + bool(missing), copied + (not missing)
            number = _make(shot, missing, on_frame) if missing else _tell(shot, on_frame)
            if number < shot.last:
                break
        if number < len(info.timeline):
            raise ValueError(f"got {number} frames, expected {len(info.timeline)}")
    if copied:
        logging.info("M3DDM: %d of %d scenes were copied from what an earlier run had written.", copied, made + copied)


def _make(shot: Shot, films: Sequence[Film], on_frame: Callable[[int], None]) -> int:
    """Make the frames of a shot, for the films that need them; returns how many of the video are written then."""
    number = shot.first
    for number, frame in enumerate(shot.frames, start=shot.first + 1):
        for film in films:
            film.write(frame)
        on_frame(number)
    if number == shot.last:
        for film in films:
            film.finish()
    return number


def _tell(shot: Shot, on_frame: Callable[[int], None]) -> int:
    """Tell of the frames of a shot that was copied; returns the same."""
    for number in range(shot.first, shot.last):
        on_frame(number + 1)
    return shot.last


def _for_looking(info: VideoInfo) -> VideoInfo:
    scale = min(LONGEST_FOR_LOOKING / max(info.size), 1)
    return replace(info, size=tuple(max(2 * round(side * scale / 2), 2) for side in info.size))


def write_lossless(path: str | os.PathLike[str], frames: Iterable[Tensor], info: VideoInfo) -> None:
    """Write frames (h, w, 3), float, 0..1, to a Matroska file from which they come back as they were in bytes.

    The file appears when it is whole. Raises ValueError for fewer frames than there are times, and `CannotWrite`.
    """
    write_video(path, frames, info, encoding=LOSSLESS)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class ContainerSink:
    """The pictures of a file that is being written, and its sound, kept level with them."""

    def __init__(
        self, container: OutputContainer, info: VideoInfo, sound: Sound | None, encoding: Encoding, what: object
    ):
        kind = encoding.kind
        self._container, self._timeline, self._what = container, info.timeline, what
        # It encodes nothing, but tells the container of what will: every shot has an encoder just like it.
        self._stream = container.add_stream(kind.encoder, rate=info.timeline.rate)
        set_up(self._stream.codec_context, info, encoding)
        if kind.tag and container.format.name in FOR_FILMS:
            self._stream.codec_context.codec_tag = kind.tag
        self._voice = SoundWriter(container, sound, kind.sound) if sound else None
        container.start_encoding()
        self.head = self._stream.codec_context.extradata or b""

    def put(self, number: int, packet: tuple[bool, bytes]) -> None:
        """As `Sink` has it."""
        import av

        timeline = self._timeline
        is_key, data = packet
        muxed, time = av.Packet(data), timeline.times[number]
        following = timeline.times[number + 1] if number + 1 < len(timeline) else timeline.end
        muxed.stream, muxed.time_base, muxed.is_keyframe = self._stream, timeline.time_base, is_key
        muxed.pts = muxed.dts = time
        muxed.duration = following - time
        with telling(self._what):
            self._container.mux(muxed)
            if self._voice:
                self._voice.write_until(timeline.second(number + 1))

    def finish(self) -> None:
        """Write what is left of the sound."""
        if self._voice:
            self._voice.finish()


@contextmanager
def _sink(
    path: str | os.PathLike[str] | IO[bytes],
    info: VideoInfo,
    sound: Sound | None,
    encoding: Encoding,
    texts: Mapping[str, str],
) -> Iterator[Sink]:
    """Where encoded frames go: a file or a folder, which appears when it is whole."""
    if not encoding.kind.containers:
        with picture_folder(path, info, sound, encoding=encoding, metadata=texts) as folder:
            yield folder
        return
    with _output(path, encoding) as container:
        container.metadata.update(texts)
        sink = ContainerSink(container, info, sound, encoding, _named(path))
        yield sink
        sink.finish()


def _named(path: str | os.PathLike[str] | IO[bytes]) -> object:
    """What a file is called in messages."""
    return path if isinstance(path, (str, os.PathLike)) else "the video"


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
        with telling(_named(path)), _container(path, form) as container:
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
