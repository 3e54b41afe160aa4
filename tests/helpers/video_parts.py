"""Video files put together part by part: any container, codec, clock and number of sound tracks; and their boxes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 25
SOUND_RATE = 8000
EXACT = {"fflags": "+bitexact"}
"""No numbers drawn anew in each file, no times of day."""


@dataclass(frozen=True)
class Tone:
    """A sound track: each channel a tone of its own, ``seconds`` long from ``starts`` on, silent with ``level`` 0."""

    layout: str = "mono"
    codec: str = "pcm_s16le"
    rate: int = SOUND_RATE
    seconds: float = 0.32
    starts: float = 0.0
    level: float = 0.5
    title: str = ""
    default: bool = True

    def write(self, container: Any, stream: Any) -> None:
        channels = av.AudioLayout(self.layout).nb_channels
        times = np.arange(round(self.seconds * self.rate)) / self.rate
        tones = np.stack([np.sin(2 * np.pi * 200 * (number + 1) * times) for number in range(channels)])
        block = np.ascontiguousarray((self.level * tones).astype(np.float32).T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=self.layout)
        frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
        frame.pts = round(self.starts * self.rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@dataclass(frozen=True)
class Film:
    """The pictures of a file: ``frames`` of them, bright above and dark below, a little brighter each time.

    ``stamps``: when each is shown, in frames; ``aspect``: of its pixels; ``turn``: degrees to the left, mirrored,
    upended, as PyAV's `set_display_rotation` takes them.
    """

    codec: str = "mpeg4"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    frames: int = 8
    rate: Fraction = Fraction(RATE)
    stamps: Sequence[int] | None = None
    aspect: Fraction | None = None
    turn: tuple[float, bool, bool] | None = None
    colours: tuple[int, int, int] | None = None
    options: dict[str, str] = field(default_factory=dict)

    def add_to(self, container: Any) -> Any:
        stream = container.add_stream(self.codec, rate=self.rate, options=self.options)
        stream.width, stream.height = self.size
        stream.pix_fmt = self.pixels
        if self.aspect:
            stream.codec_context.sample_aspect_ratio = self.aspect
        if self.turn:
            stream.set_display_rotation(*self.turn)
        if self.colours:
            context = stream.codec_context
            context.colorspace, context.color_primaries, context.color_trc = self.colours
        return stream

    def write(self, container: Any, stream: Any) -> None:
        for number in range(self.frames):
            picture = av.VideoFrame.from_ndarray(self.picture(number), format="rgb24").reformat(format=self.pixels)
            picture.pts = self.stamps[number] if self.stamps else number
            picture.time_base = 1 / self.rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))

    def picture(self, number: int) -> np.ndarray:
        """(h, w, 3), uint8: rows from bright to dark, the left half red."""
        width, height = self.size
        picture = np.empty((height, width, 3), np.uint8)
        picture[:] = np.linspace(200, 40, height, dtype=np.uint8)[:, None, None] + min(4 * number, 50)
        picture[:, : width // 2, 1:] //= 3
        return picture


def write_film(
    path: Path,
    film: Film | None = None,
    *tones: Tone,
    form: str | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write pictures and sound tracks to a file, in a container of its suffix or of ``form``."""
    from av.stream import Disposition

    film = film or Film()
    with av.open(str(path), "w", format=form, options={**EXACT, **(options or {})}) as container:
        container.metadata.update(metadata or {})
        pictures = film.add_to(container)
        tracks = []
        for tone in tones:
            track = container.add_stream(tone.codec, rate=tone.rate, layout=tone.layout)
            track.disposition = Disposition.default if tone.default else Disposition(0)
            if tone.title:
                track.metadata["title"] = tone.title
            tracks.append(track)
        film.write(container, pictures)
        for tone, track in zip(tones, tracks, strict=True):
            tone.write(container, track)
    return path


def remuxed(path: Path, copy: Path, *, shift: float = 0.0, damaged: dict[int, Sequence[int]] | None = None) -> Path:
    """Copy a file packet by packet, ``shift`` seconds later, the packets of a stream that ``damaged`` names blanked."""
    options = {**EXACT, "avoid_negative_ts": "disabled"} if shift else EXACT
    with av.open(str(path)) as source, av.open(str(copy), "w", options=options) as target:
        targets = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        counts = dict.fromkeys(targets, -1)
        for packet in source.demux():
            if not packet.size:
                continue
            index = packet.stream.index
            counts[index] += 1
            if counts[index] in (damaged or {}).get(index, ()):
                blank = av.Packet(bytes(packet.size))
                blank.pts, blank.dts, blank.time_base = packet.pts, packet.dts, packet.time_base
                packet = blank
            if shift:
                packet.pts += round(shift / packet.time_base)
                packet.dts += round(shift / packet.time_base)
            packet.stream = targets[index]
            target.mux(packet)
    return copy


PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}
"""Boxes of an MP4 file that hold nothing but boxes."""


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of an MP4 file: kind, where each begins and ends. Those within others come after them."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        stop = start + size if size >= 8 else end
        yield kind, start, stop
        if kind in PARENTS:
            yield from boxes(data, start + 8, stop)
        start = stop


def patched(path: Path, kind: bytes, offset: int, new: bytes) -> Path:
    """Write ``new`` over what is ``offset`` bytes into the first box of a kind, its head not counted."""
    data = bytearray(path.read_bytes())
    start = next(begin for found, begin, _ in boxes(bytes(data)) if found == kind) + 8 + offset
    data[start : start + len(new)] = new
    path.write_bytes(data)
    return path


def listed_channels(path: Path, labels: Sequence[int]) -> Path:
    """Have a QuickTime file whose index is at its end list its channels, by the numbers that Core Audio has for them.

    What is not in FFmpeg's own order becomes a layout that owns memory.
    """
    data = path.read_bytes()
    described = b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels)
    box = struct.pack(">I4sIIII", 24 + len(described), b"chan", 0, 0, 0, len(labels)) + described
    start = data.index(b"chan") - 4
    (size,) = struct.unpack_from(">I", data, start)
    grown = bytearray(data[:start] + box + data[start + size :])
    # The entry of the sample table that it lies in begins with its size and its codec.
    entry = max(data.rfind(codec, 0, start) for codec in (b"lpcm", b"sowt")) - 4
    for begin in (*(begin for _, begin, end in boxes(data) if begin < start < end), entry):
        (old,) = struct.unpack_from(">I", grown, begin)
        struct.pack_into(">I", grown, begin, old + len(box) - size)
    path.write_bytes(grown)
    return path
