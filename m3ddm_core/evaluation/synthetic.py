"""The held-out synthetic clips: of every filled pixel it is known whether another frame shows it."""

from __future__ import annotations

import numpy as np

from ..synthetic.held_out import FPS, FRAMES, HELD_OUT, HeldOutClip
from ..synthetic.scenes import SEEN
from .protocol import Clip, Protocol, Source


def held_out_clips() -> list[Source]:
    """All clips of the list, in its order. A world is painted for the size that it is measured at."""
    return [
        Source(clip.name, f"{clip} {FRAMES}", lambda protocol, clip=clip: _load(clip, protocol), f"{clip.speed} camera")
        for clip in HELD_OUT
    ]


def _load(clip: HeldOutClip, protocol: Protocol) -> Clip:
    scene = clip.scene((protocol.size, protocol.size))
    times = np.arange(min(FRAMES, protocol.frames or FRAMES))
    frames = (scene.render(times) * 255).round().byte().numpy()

    def seen_elsewhere(window: tuple[int, int, int, int]) -> np.ndarray:
        return (scene.visibility(times, window, times) == SEEN).numpy()

    return Clip(frames, FPS, seen_elsewhere)
