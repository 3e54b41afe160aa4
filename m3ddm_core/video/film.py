"""A video that is being written shot by shot: each is encoded by itself, or copied from what an earlier run encoded."""

from __future__ import annotations

from dataclasses import astuple
from itertools import islice
from typing import Any, Protocol

from torch import Tensor

from ..frames import resize
from ..journal.digest import digest
from .encoder import ShotEncoder, machine
from .formats import Encoding
from .shots import Packet, Pieces, Shot
from .source import VideoInfo

FORMAT = 1
"""To be raised whenever other bytes are made of the same frames, or kept otherwise."""


class Sink(Protocol):
    """Where encoded frames go. ``head``: what all of them have in common, beside them in the file."""

    head: bytes

    def put(self, number: int, packet: Packet) -> None:
        """Write the frame of a number; they come in order."""


class Film:
    """One file of a video of ``info``, in an ``encoding``, that is written into a ``sink``. Frames of another size are
    scaled. ``pieces``: where encoded shots are kept, if they are; the file does not depend on it.

    What a shot becomes depends on nothing but its own frames, so that of one which is known by its key the bytes can be
    copied; and if they are there only in part, the rest is what the encoder makes.
    """

    def __init__(self, sink: Sink, info: VideoInfo, encoding: Encoding, pieces: Pieces | None):
        self._sink, self._info, self._encoding, self._pieces = sink, info, encoding, pieces

    def begin(self, shot: Shot) -> bool:
        """Copy what is kept of a shot; returns whether that is all of it, so that its frames need not be made."""
        self._shot, self._written, self._passed = shot, 0, 0
        key = None if shot.key is None or self._pieces is None else self._key(shot)
        if key is not None:
            for packet in islice(self._pieces.take(key), len(shot)):
                self._put(packet)
        if self._written == len(shot):
            return True
        self._keep = None if key is None else self._pieces.put(key, len(shot))
        self._encoder = ShotEncoder(self._info, self._encoding, shot.first)
        return False

    def write(self, frame: Tensor) -> None:
        """Encode the next frame (h, w, 3) of the shot."""
        size = frame.shape[1], frame.shape[0]
        if size != self._info.size:
            frame = resize(frame[None].float().cpu(), self._info.size)[0]
        for packet in self._encoder.write(frame):
            self._made(packet)

    def finish(self) -> None:
        """End the shot."""
        for packet in self._encoder.finish():
            self._made(packet)

    def _made(self, packet: Packet) -> None:
        """Keep a frame that was encoded, and write it unless it was copied before."""
        if self._keep is not None:
            self._keep(packet)
        self._passed += 1
        if self._passed > self._written:
            self._put(packet)

    def _put(self, packet: Packet) -> None:
        self._sink.put(self._shot.first + self._written, packet)
        self._written += 1

    def _key(self, shot: Shot) -> str:
        info, timeline = self._info, self._info.timeline
        first = timeline.times[shot.first]
        times = " ".join(str(time - first) for time in timeline.times[shot.first : shot.last])
        colours = info.bit_depth, info.matrix, info.primaries, info.transfer, info.light
        told: tuple[Any, ...] = info.size, str(timeline.time_base), str(timeline.rate), times, colours
        return digest((FORMAT, shot.key, astuple(self._encoding), *told, self._sink.head, machine()))
