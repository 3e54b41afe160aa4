"""A path through a video: where the frames' top-left corner lies at some frames, and in a straight line in between."""

from __future__ import annotations

import re
from fractions import Fraction
from math import floor

from .quoted import quoted
from .typed import plain

MOST = 100_000
"""The farthest a corner may lie from the origin: beyond it, it is a slip of the keyboard."""

_NUMBER = r"[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_STOP = re.compile(rf"\s*(-?\d{{1,9}})\s*:\s*({_NUMBER})\s*,\s*({_NUMBER})\s*", re.ASCII)


def parse_path(text: str, frames: int) -> dict[int, tuple[Fraction, Fraction]]:
    """Read "0: 0, 0; 48: 120, -10": frame: x, y, separated by semicolons or line breaks, in any order.

    A negative frame counts from the end of the ``frames`` there are. One beyond the end is allowed: the video stops on
    the way to it.

    Raises ValueError, naming the part, for anything else, a frame named twice, or a corner beyond 100,000 pixels.
    """
    stops: dict[int, tuple[Fraction, Fraction]] = {}
    for part in re.split(r"[;\n]", plain(text)):
        if not part.strip():
            continue
        match = _STOP.fullmatch(part)
        if match is None:
            raise ValueError(
                f"got {quoted(part.strip())} in the path, expected 'frame: x, y', such as '0: 0, 0; 48: 120, -10'"
            )
        frame, corner = int(match[1]), (Fraction(match[2]), Fraction(match[3]))
        if frame < -frames:
            raise ValueError(
                f"got frame {frame} in the path of a video of {frames} frames, expected {-frames} or more (negative "
                "numbers count from the end)"
            )
        if max(map(abs, corner)) > MOST:
            raise ValueError(f"got {quoted(part.strip())} in the path, expected x and y of {MOST} pixels at most")
        frame += frames if frame < 0 else 0
        if frame in stops:
            raise ValueError(f"got frame {frame} twice in the path {quoted(text)}, expected each frame once")
        stops[frame] = corner
    if not stops:
        raise ValueError(
            f"got a path without a stop ({quoted(text)}), expected at least one 'frame: x, y', such as '0: 0, 0'"
        )
    return stops


def corners(stops: dict[int, tuple[Fraction, Fraction]], frames: int) -> list[tuple[int, int]]:
    """The corner (x, y) in each of the frames: in a straight line from stop to stop, in whole pixels, halves up.

    Before the first stop and after the last it does not move.
    """
    order = sorted(stops)
    found = []
    for frame in range(frames):
        after = next((stop for stop in order if stop >= frame), order[-1])
        before = next((stop for stop in reversed(order) if stop <= frame), order[0])
        share = Fraction(frame - before, after - before) if after > before else Fraction(0)
        x, y = (
            floor(start + (end - start) * share + Fraction(1, 2))
            for start, end in zip(stops[before], stops[after], strict=True)
        )
        found.append((x, y))
    return found
