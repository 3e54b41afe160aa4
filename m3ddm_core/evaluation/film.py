"""The held-out shots of Big Buck Bunny: real footage that no training of this pack's models has seen."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ..material.film import FPS, Shot, held_out_shots, is_the_film
from ..video.indexed import IndexedVideo
from .protocol import Clip, Protocol, Source
from .videos import READING, as_bytes

FRAMES = 32
"""From the middle of a shot, where nothing fades; fewer where it is shorter. The protocol's number goes before it."""

WHERE_TO_GET = "bbb.mp4, which `python recipes/fetch_material.py` fetches"


def held_out_film_clips(film: Path) -> list[Source]:
    """All held-out shots, in the film's order. Raises ValueError where ``film`` is another than the one meant."""
    if not film.is_file() or not is_the_film(film):
        found = "another file" if film.is_file() else "no file"
        raise ValueError(f"{film}: got {found}, expected {WHERE_TO_GET}")
    video = IndexedVideo.of(film)
    return [
        Source(f"shot-{shot.number:03d}", f"{shot} {FRAMES} {READING}", partial(_load, video, shot))
        for shot in held_out_shots()
    ]


def _load(video: IndexedVideo, shot: Shot, protocol: Protocol) -> Clip:
    pictures = video.pictures(range(*middle(shot, protocol.frames or FRAMES)))
    return Clip(np.stack([protocol.fitted(as_bytes(picture)) for _, picture in pictures]), FPS)


def middle(shot: Shot, frames: int) -> tuple[int, int]:
    """The first of so many frames in the middle of a shot, or of all it has, and the one after the last."""
    count = min(frames, len(shot))
    first = shot.first + (len(shot) - count) // 2
    return first, first + count
