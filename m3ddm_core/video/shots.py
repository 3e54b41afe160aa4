"""A video in the parts that are written each by itself, so that one comes out the same whatever the others are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .source import Source


@dataclass(frozen=True, eq=False)
class Shot:
    """The frames of a video from ``first`` to before ``last``.

    ``frames`` makes them, each (h, w, 3), float, 0..1; what is not asked for before the next shot is not made. ``key``:
    a hash of all that decides them, None where that is not known.
    """

    first: int
    last: int
    frames: Iterator[Tensor]
    key: str | None = None

    def __len__(self) -> int:
        return self.last - self.first


Shots = Iterable[Shot]
Packet = tuple[bool, bytes]
"""A frame as an encoder stores it: whether it can be decoded without those before it, and its bytes."""


class Pieces(Protocol):
    """Shots as encoders have stored them, on disk, under keys."""

    def take(self, key: str) -> Iterator[Packet]:
        """What is there of a shot, from its first frame on."""

    def put(self, key: str, length: int) -> Callable[[Packet], None]:
        """Make what keeps a shot of so many frames, and is to be called for each."""


def shots_of(video: Source) -> Shots:
    """The shots that a video is made in, or all its frames as one."""
    by_itself = getattr(video, "shots", None)
    return [Shot(0, len(video.info.timeline), video.frames())] if by_itself is None else by_itself()
