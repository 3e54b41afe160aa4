"""The synthetic clips that no training sees: fixed before the first model was trained, and never chosen by result.

Training draws its scenes from seeds of another form (see ``samples.py``), so that none of them can come up there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch

from .camera import Motion
from .scenes import Scene, make_scene
from .worlds import KINDS

FRAMES = 64
"""Long enough for all three levels of the plan; a shorter clip takes the first frames."""

FPS = 24.0
SALT = 2309_02119
SPEEDS = {"still": 0.0, "slow": 0.004, "medium": 0.012, "fast": 0.03}
"""How far the camera pans, as a share of the view's width per frame."""


@dataclass(frozen=True)
class HeldOutClip:
    """One clip of the list: its scene's seed, the kind of world, and how the camera pans."""

    seed: int
    kind: str
    speed: str
    vertical: bool

    @property
    def name(self) -> str:
        """A short name, fit for files and tables."""
        return f"{self.seed:03d}-{self.kind}-{self.speed}-{'vertical' if self.vertical else 'horizontal'}"

    def scene(self, size: tuple[int, int] = (256, 256), device: torch.device | str = "cpu") -> Scene:
        """Paint the clip's scene for a view of ``size`` (width, height); it lasts ``FRAMES`` frames."""
        moving = self.speed != "still"
        motion = Motion(
            speed=SPEEDS[self.speed],
            travel=1.2,
            zoom=0.1 if moving else 0.0,
            shake=0.002 if moving else 0.0,
            vertical=self.vertical,
        )
        seed = (SALT, self.seed)
        return make_scene(seed, size, FRAMES, motion, kind=self.kind, detail=0.8, sprites=2, device=device)


# Two clips of each kind of world at each speed: one for borders left and right, one for above and below.
HELD_OUT: tuple[HeldOutClip, ...] = tuple(
    HeldOutClip(number, kind, speed, vertical)
    for number, (speed, kind, vertical) in enumerate(product(SPEEDS, KINDS, (False, True)))
)
