"""When each frame of a video is shown."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


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

        A stamp that is missing or does not rise is put one usual frame after the one before: players and muxers
        refuse anything else. Where there is no duration of the last frame (0) it is the usual one too.
        """
        step = max(round(1 / (rate * time_base)), 1)
        times: list[int] = []
        first = next((stamp for stamp in stamps if stamp is not None), 0)
        for stamp in stamps:
            time = None if stamp is None else stamp - first
            if not times:
                time = 0
            elif time is None or time <= times[-1]:
                time = times[-1] + step
            times.append(time)
        return cls(time_base, tuple(times), times[-1] + max(last or step, 1), rate)

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
