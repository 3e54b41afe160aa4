"""A way to make a video that can be killed: what a run tells, and what all ways have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Due = Callable[[float], bool]
"""``due(cpu)``: whether a run that has computed for so many seconds is to be killed now."""


@dataclass(frozen=True)
class Run:
    """One process: how long it worked, what of that it computed, how many clips it began, and whether it was killed.

    Seconds of the processor, ``cpu``, do not depend on what else a machine does. What comes before the work is in
    neither: ``start`` tells what of the processor that takes.
    """

    seconds: float
    cpu: float
    begun: int
    killed: bool
    start: float


class Way(Protocol):
    """Makes the same video again and again, each time in a new process, into the folder ``out``."""

    out: Path

    def run(self, due: Due | None = None) -> Run:
        """Make it, or be killed when it is due. Raises RuntimeError where it fails of itself."""

    def forget(self) -> None:
        """Remove what is still kept of finished clips, if that outlives the video."""
