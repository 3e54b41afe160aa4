"""The held-out shots of Big Buck Bunny: real footage that no training of this pack's models has seen."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ..material.film import FPS, Shot, held_out_shots, is_the_film
from .protocol import Clip, Protocol, Source

FRAMES = 32
"""From the middle of a shot, where nothing fades; fewer where it is shorter. The protocol's number goes before it."""

WHERE_TO_GET = "bbb.mp4, which `python recipes/fetch_material.py` fetches"


def held_out_film_clips(film: Path) -> list[Source]:
    """All held-out shots, in the film's order. Raises ValueError where ``film`` is another than the one meant."""
    if not film.is_file() or not is_the_film(film):
        found = "another file" if film.is_file() else "no file"
        raise ValueError(f"{film}: got {found}, expected {WHERE_TO_GET}")
    return [
        Source(f"shot-{shot.number:03d}", f"{film.name} {shot} {FRAMES}", partial(_load, film, shot))
        for shot in held_out_shots()
    ]


def _load(film: Path, shot: Shot, protocol: Protocol) -> Clip:
    frames = [protocol.fitted(frame) for frame in _decoded(film, *middle(shot, protocol.frames or FRAMES))]
    return Clip(np.stack(frames), FPS)


def middle(shot: Shot, frames: int) -> tuple[int, int]:
    """The first of so many frames in the middle of a shot, or of all it has, and the one after the last."""
    count = min(frames, len(shot))
    first = shot.first + (len(shot) - count) // 2
    return first, first + count


def _decoded(film: Path, first: int, end: int) -> Iterator[np.ndarray]:
    """Frames ``first`` to before ``end`` of the film, (h, w, 3), uint8."""
    import av

    with av.open(film) as file:
        stream = file.streams.video[0]
        stream.thread_type = "AUTO"
        file.seek(int(first / FPS / stream.time_base), stream=stream)
        for frame in file.decode(stream):
            number = round(frame.time * FPS)
            if number >= end:
                return
            if number >= first:
                yield frame.to_ndarray(format="rgb24")
