"""Which frames are asked what they have filmed of another's border."""

from __future__ import annotations

NEAR = (1, 2, 3, 4, 6, 8)
"""Frames away, before and after."""
LATTICES = ((4, 32), (8, 96))
ENDS = 32
"""The first and the last frame are asked so far away: no lattice finds what they show and no other does."""
"""Farther away only every so-many-th frame of the video, up to so far: the same frames then serve many targets."""


def sources_of(frame: int, first: int, last: int) -> list[int]:
    """The frames from ``first`` to before ``last`` that are asked for ``frame``, nearest in time first.

    But for the first and the last they are the same wherever a scene begins, given the same numbers.
    """
    found = {frame + step for gap in NEAR for step in (gap, -gap)}
    for every, most in LATTICES:
        start = (frame - most) // every * every
        found |= {s for s in range(start, frame + most + 1, every) if max(NEAR) < abs(s - frame) <= most}
    found |= {s for s in (first, last - 1) if 0 < abs(s - frame) <= ENDS}
    return sorted((s for s in found if first <= s < last), key=lambda s: (abs(s - frame), s))
