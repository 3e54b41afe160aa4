"""The sound of video files, decoded as it is needed and laid beside the pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .reader import File, decodable, name_of, open_file
from .sound import Converter, Sound, aac_layout, aac_rate

if TYPE_CHECKING:
    from av.container import InputContainer

GAP = 0.05
"""Seconds by which sound may be late, once it has begun, before silence is put in: less is rounding."""


def find_sound(file: File, origin: Fraction, seconds: float, start: float) -> Sound | None:
    """The sound of a file that goes with ``seconds`` of pictures from ``origin`` on, in seconds by the file's clock.

    Of several tracks the file's default is taken, else the first; where nothing of that can be decoded, the next.
    Others are named in the log. ``start``: where pictures are read from, 0 for the file's beginning.
    """
    with open_file(file) as container:
        names = {track.index: _name(track) for track in _tracks(container)}
        has_sound = bool(container.streams.audio)
    for track in names:
        kind = _kind(file, track)
        if kind is None:
            logging.warning("M3DDM: %s: nothing of %s can be decoded.", name_of(file), names[track])
            continue
        others = [name for index, name in names.items() if index != track]
        if others:
            logging.info("M3DDM: %s: %s is kept, not %s.", name_of(file), names[track], ", ".join(others))
        return Sound(*kind, partial(_blocks, file, track, *kind, origin, seconds, start))
    if has_sound:
        logging.warning("M3DDM: %s: its sound cannot be decoded and is left out.", name_of(file))
    return None


def _kind(file: File, track: int) -> tuple[int, str] | None:
    """The rate and the layout in which a track is kept; None where nothing of it can be."""
    import av

    with open_file(file) as container:
        for frame in decodable(container, container.streams[track]):
            kind = aac_rate(frame.sample_rate), aac_layout(frame.layout.nb_channels)
            # What cannot be converted is to be known now, not after hours of sampling.
            with suppress(av.FFmpegError):
                list(Converter(*kind)(frame))
                return kind
    return None


def _tracks(container: InputContainer) -> list[Any]:
    """The sound streams that there is a decoder for, in the order in which they are tried."""
    from av.stream import Disposition

    # A stream for which there is no decoder has no codec context, and decoding it would crash.
    tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return sorted(tracks, key=lambda stream: not stream.disposition & Disposition.default)


def _name(stream: Any) -> str:
    about = [stream.metadata.get(key, "und") for key in ("title", "language")]
    # "und" is how a file says that it does not say.
    told = [text for text in (*about, stream.codec_context.name) if text != "und"]
    return f"sound track {stream.index} ({', '.join(told)})"


def _blocks(
    file: File, track: int, rate: int, layout: str, origin: Fraction, seconds: float, start: float
) -> Iterator[np.ndarray]:
    """Sound from the first frame to the end of the last, silence where there is none: (channels, samples), float32."""
    whole, position, late = round(seconds * rate), 0, 0.0
    for begins, samples in _parts(file, track, rate, layout, origin, start):
        if begins is not None:
            place = round((begins - origin) * rate)
            if place > position + late * rate:
                for silence in _silences(min(place, whole) - position, rate):
                    yield np.zeros((len(samples), silence), np.float32)
                position = min(place, whole)
            elif not position and place < 0:
                samples = samples[:, -place:]
        samples = samples[:, : whole - position]
        if samples.shape[1]:
            yield samples
            position, late = position + samples.shape[1], GAP
        if position >= whole:
            return


def _parts(
    file: File, track: int, rate: int, layout: str, origin: Fraction, start: float
) -> Iterator[tuple[Fraction | None, np.ndarray]]:
    """What a track holds: when each part begins, in seconds by the file's clock, and its samples."""
    import av

    convert = Converter(rate, layout)
    with open_file(file) as container:
        if start:
            container.seek(int(origin * av.time_base))
        for frame in decodable(container, container.streams[track]):
            with suppress(av.FFmpegError):
                yield from convert(frame)
        yield from convert.rest()


def _silences(samples: int, most: int) -> Iterator[int]:
    """So many samples in pieces of ``most``: a clock that jumps is not to fill the memory."""
    while samples > 0:
        yield min(samples, most)
        samples -= most
