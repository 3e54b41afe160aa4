"""The sound of a file that is being written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .sound import Sound, packed_frame

if TYPE_CHECKING:
    from av.container import OutputContainer


class SoundWriter:
    """The sound stream of a file that is being written, kept level with its pictures."""

    def __init__(self, container: OutputContainer, sound: Sound, encoder: str):
        self.container, self.sound = container, sound
        self.stream = container.add_stream(encoder, rate=sound.rate, layout=sound.layout)
        self.blocks: Iterator[np.ndarray] = sound.blocks()
        self.written = 0

    def write_until(self, second: float) -> None:
        """Write as many blocks as begin before a time."""
        while self.written < second * self.sound.rate:
            block = next(self.blocks, None)
            if block is None:
                self.written = math.inf
                return
            frame = packed_frame(block, self.sound.rate, self.written, self.sound.layout)
            self.container.mux(self.stream.encode(frame))
            self.written += block.shape[1]

    def finish(self) -> None:
        self.write_until(math.inf)
        self.container.mux(self.stream.encode(None))
