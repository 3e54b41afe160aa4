"""The shots of Big Buck Bunny, and which of them are held out: training never sees those, measuring uses no others.

The film is (c) Blender Foundation, peach.blender.org, CC BY 3.0; `recipes/fetch_material.py` fetches the copy of it
that is meant, 14,315 frames of 1280x720 at 24 a second. The shots were found with `video.cuts` at its usual threshold.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

BYTES = 50_195_281
SHA256 = "475fbbf34c4c367998f80c29ea03b15a743941179b12da3373fc6706e68621d0"
FPS = 24
CREDITS = 11_757
"""The first frame of the end credits, which are not used."""

CUTS = (
    *(285, 378, 553, 1145, 1346, 1456, 1531, 1666, 1711, 1763, 1813, 1919, 2154, 2194, 2394, 2494, 2704, 2831, 2901),
    *(2963, 3045, 3513, 3578, 3744, 3860, 3895, 3919, 3989, 4032, 4069, 4227, 4266, 4332, 4463, 4544, 4612, 4672, 4697),
    *(4726, 4796, 4900, 4942, 4979, 5013, 5079, 5131, 5292, 5307, 5371, 5430, 5518, 5579, 5809, 5844, 6018, 6048, 6088),
    *(6128, 6168, 6208, 6228, 6268, 6308, 6348, 6388, 6488, 6623, 6670, 6713, 6753, 6833, 7013, 7093, 7131, 7325, 7500),
    *(7546, 7613, 7661, 7732, 7769, 7953, 8024, 8085, 8154, 8945, 9009, 9080, 9148, 9379, 9420, 9468, 9507, 9575, 9584),
    *(9593, 9709, 9719, 9795, 9850, 9891, 9987, 10016, 10081, 10097, 10125, 10184, 10234, 10260, 10303, 10339, 10409),
    *(10453, 10468, 10574, 10637, 10842, 10999, 11312, 11349, 11524, 11560, 11612, 11671),
)
"""Frames that begin a new shot, before the credits."""

DEMO = (553, 1401)
"""From the first of these frames to before the second lies what the demo shows: always held out, with its shots."""

EVERY = 8
"""Of the shots that last a second, every so many are held out too."""


@dataclass(frozen=True)
class Shot:
    """Frames ``first`` to before ``end`` of the film; ``number`` among all its shots."""

    number: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


def shots() -> tuple[Shot, ...]:
    """All shots before the credits, in order."""
    edges = zip((0, *CUTS), (*CUTS, CREDITS), strict=True)
    return tuple(Shot(number, first, end) for number, (first, end) in enumerate(edges))


def held_out_shots() -> tuple[Shot, ...]:
    """The shots that no training sees: those of the demo's frames, and every eighth of those that last a second."""
    long = [shot for shot in shots() if len(shot) >= FPS]
    eighths = set(long[EVERY - 1 :: EVERY])
    return tuple(shot for shot in shots() if shot in eighths or (shot.first < DEMO[1] and shot.end > DEMO[0]))


def training_shots() -> tuple[Shot, ...]:
    """The shots that training may see."""
    held_out = set(held_out_shots())
    return tuple(shot for shot in shots() if shot not in held_out)


def is_the_film(path: Path) -> bool:
    """Whether a file is the copy of the film that the shots are numbered in, whatever it is called."""
    return path.stat().st_size == BYTES and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
