"""When each frame of a video is shown."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

MOST_REORDERED = 16
"""Frames that a decoder may hold back: H.264's and HEVC's limit."""

LONGEST_FRAME = 3600
"""Seconds that one frame may be shown; more is a clock that leaps, not a picture that stays."""


@dataclass(frozen=True)
class Timeline:
    """Times of frames in units of ``time_base`` seconds, counted from the first frame.

    ``times``: when each frame appears, rising from 0; ``end``: when the last one goes; ``rate``: frames a second, on
    average where they are not evenly spaced.
    """

    time_base: Fraction
    times: tuple[int, ...]
    end: int
    rate: Fraction

    @classmethod
    def even(cls, frames: int, rate: Fraction) -> Timeline:
        """Frames at a constant rate."""
        return cls(1 / rate, tuple(range(frames)), frames, rate)

    @classmethod
    def of(cls, stamps: Sequence[int | None], last: int, time_base: Fraction, rate: Fraction) -> Timeline:
        """Make sense of the time stamps that a file has for its frames, ``last`` being how long the last is shown.

        A stamp that is missing, does not rise or leaps is put one usual frame after the one before: players and muxers
        refuse anything else. Where there is no duration of the last frame (0) it is the usual one too.
        """
        step, leap = _step(time_base, rate), math.ceil(LONGEST_FRAME / time_base)
        origin, stamps = first_stamp(stamps, time_base, rate), _in_order(stamps)
        times: list[int] = []
        for stamp in stamps:
            time = None if stamp is None else stamp - origin
            if not times:
                time = 0
            elif time is None or not times[-1] < time <= times[-1] + leap:
                time = times[-1] + step
            times.append(time)
        return cls(time_base, tuple(times), times[-1] + max(min(last, leap) or step, 1), rate)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> float:
        """How long all frames are shown."""
        return float(self.end * self.time_base)

    def second(self, frame: int) -> float:
        """When a frame appears; that of the frame after the last is the end."""
        return float((self.times[frame] if frame < len(self) else self.end) * self.time_base)

    def cut(self, first: int, last: int) -> Timeline:
        """The times of the frames from ``first`` to before ``last``."""
        end = self.times[last] if last < len(self) else self.end
        start = self.times[first]
        return Timeline(self.time_base, tuple(time - start for time in self.times[first:last]), end - start, self.rate)

    def between(self, start: float, duration: float) -> tuple[int, int]:
        """First and one past the last of the frames that appear in ``duration`` seconds from ``start``; 0 is all."""
        first = bisect_left(self.times, self._units(start))
        return first, bisect_left(self.times, self._units(start + duration)) if duration else len(self)

    def _units(self, second: float) -> Fraction:
        # 0.04 as it was typed, not as binary has it, which is a little later.
        return Fraction(second).limit_denominator(1_000_000) / self.time_base


def first_stamp(stamps: Sequence[int | None], time_base: Fraction, rate: Fraction) -> int:
    """When the first frame is shown by the file's clock: where it has no stamp, so many usual frames before the first
    that has.

    So it is with Matroska files that begin before 0. A file without any stamp begins at 0.
    """
    stamps = _in_order(stamps)
    missing = next((number for number, stamp in enumerate(stamps) if stamp is not None), None)
    return 0 if missing is None else stamps[missing] - missing * _step(time_base, rate)


def _step(time_base: Fraction, rate: Fraction) -> int:
    """How long a usual frame is shown."""
    return max(round(1 / (rate * time_base)), 1)


def _in_order(stamps: Sequence[int | None]) -> list[int | None]:
    """Stamps in the order of the frames: AVI stores when a frame is decoded, and that is in another order.

    No decoder holds a frame back for long, so that stamps which are further from their place are no such thing.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    ranks = sorted(range(len(known)), key=known.__getitem__)
    moved = max((abs(rank - place) for rank, place in enumerate(ranks)), default=0)
    if not 0 < moved <= MOST_REORDERED or len(set(known)) < len(known):
        return list(stamps)
    ordered = iter(sorted(known))
    return [None if stamp is None else next(ordered) for stamp in stamps]
