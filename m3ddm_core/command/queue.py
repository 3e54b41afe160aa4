"""One video after the other: what cannot be done is named and passed over, what is done is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..outpaint.time_left import Pace, time_left
from .jobs import Job
from .manifest import DONE, FAILED, Manifest

Report = Callable[[float, str], None]
"""Called with the share that is done, 0..1, and what is being done, in words."""
Make = Callable[[Job, Report], dict[str, Any]]
"""Outpaints one video, and returns its figures. Raises ValueError or OSError for one that cannot be."""


@dataclass(frozen=True)
class Tally:
    """How many videos were made, had been made by an earlier run, and could not be."""

    made: int = 0
    before: int = 0
    failed: int = 0


def run_jobs(
    jobs: Sequence[Job],
    make: Make,
    manifest: Manifest,
    ask: Callable[[Job], dict[str, Any]],
    *,
    resume: bool,
    report: Report,
    tell: Callable[[str], None],
) -> Tally:
    """Make all videos.

    ask: what of a job decides its result, as JSON takes it: with ``resume`` a target that was made of the same is left
        as it is. report: hears of the whole run. tell: hears of each video that could not be made.
    """
    counts, pace = {"made": 0, "before": 0, "failed": 0}, Pace()
    for number, job in enumerate(jobs):
        asked = asked_of(job, ask)
        if resume and manifest.has_done(asked):
            counts["before"] += 1
            pace.pause()
            continue
        begun, figures = time.monotonic(), {"outcome": DONE}
        try:
            figures |= make(job, _part(report, pace, number, len(jobs), job.source.name))
            counts["made"] += 1
        except (ValueError, OSError) as error:
            figures |= {"outcome": FAILED, "error": str(error)}
            counts["failed"] += 1
            tell(f"{job.source}: {error}")
        manifest.add({**asked, **figures, "seconds": round(time.monotonic() - begun, 3)})
    return Tally(**counts)


def asked_of(job: Job, ask: Callable[[Job], dict[str, Any]]) -> dict[str, Any]:
    """What a job's entry in the manifest begins with."""
    return {"source": str(job.source), "target": str(job.target), **ask(job)}


def _part(report: Report, pace: Pace, number: int, count: int, name: str) -> Report:
    """Make what reports one of ``count`` videos as a part of all."""

    def heard(share: float, text: str) -> None:
        done = number + share
        pace.reached(done)
        left = time_left(pace.seconds_for(count - done))
        report(done / count, f"video {number + 1} of {count}, {name}: {text}{left and f' (all videos{left})'}")

    return heard
