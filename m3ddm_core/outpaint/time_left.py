"""How long work will still take, judged by how long it took so far, and how to say so."""

from __future__ import annotations

import time


class Pace:
    """Seconds a unit of one kind of work takes.

    What comes before the first report, and before the first one after a pause, is not counted: that is when weights
    are loaded and kernels chosen.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self.seconds, self.units = 0.0, 0.0

    def reached(self, done: float) -> None:
        """So many units are done now, of all that were to be done."""
        now = time.monotonic()
        if self._last is not None:
            then, before = self._last
            self.seconds += now - then
            self.units += done - before
        self._last = now, done

    def pause(self) -> None:
        """Other work begins; the next report comes when this work has gone on for a unit."""
        self._last = None

    def seconds_for(self, units: float) -> float | None:
        """How long so many units will take; None while that is not known."""
        if units == 0:
            return 0.0
        return self.seconds / self.units * units if self.units else None


def time_left(*parts: float | None) -> str:
    """ ", about 4 min left" for as many seconds as all parts take; nothing while one of them is not known."""
    if None in parts:
        return ""
    seconds = sum(parts)
    return ", a few seconds left" if seconds < 5 else f", about {spoken(seconds)} left"


def spoken(seconds: float) -> str:
    """A time as one would say it: "20 s", "4 min", "2 h 10 min"."""
    if seconds < 57.5:
        return f"{max(round(seconds), 1) if seconds < 10 else round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(minutes, 1)} min"
    minutes = round(minutes / 10) * 10
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
