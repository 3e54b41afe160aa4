"""Clips without files to measure: small, textured, moving."""

from __future__ import annotations

import numpy as np

from m3ddm_core.evaluation.protocol import Clip, Protocol, Source

SIZE = 32


def moving_clip(seed: int, frames: int = 6, size: int = SIZE) -> Clip:
    """A texture that moves by a pixel a frame."""
    texture = np.random.default_rng(seed).integers(0, 256, (size, size + frames, 3), dtype=np.uint8)
    return Clip(np.stack([texture[:, start : start + size] for start in range(frames)]), 10.0)


class CountedSources:
    """Sources that count how often they are loaded; number ``broken`` cannot be."""

    def __init__(self, count: int, broken: int | None = None):
        self.loads = 0
        self.broken = broken
        self.sources = [
            Source(f"clip {number}", f"seed {number}", lambda protocol, number=number: self.load(number, protocol))
            for number in range(count)
        ]

    def load(self, number: int, protocol: Protocol) -> Clip:
        if number == self.broken:
            raise ValueError("it cannot be read")
        self.loads += 1
        return moving_clip(number, size=protocol.size)
