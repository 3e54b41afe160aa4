"""One video after the other: what cannot be done is named and passed over, what is done is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..outpaint.side_by_side import Later, SideBySide
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
    at_once: int = 1,
) -> Tally:
    """Make all videos, ``at_once`` of them side by side.

    ask: what of a job decides its result, as JSON takes it: with ``resume`` a target that was made of the same is left
        as it is. report: hears of the whole run. tell: hears of each video that could not be made.
    """
    run = _Run(len(jobs), manifest, report, tell)
    with SideBySide(at_once) as side:
        for number, job in enumerate(jobs):
            asked = asked_of(job, ask)
            if resume and manifest.has_done(asked):
                run.was_done(number, asked)
            else:
                manifest.begin(asked)
                side.start(partial(run.make, make, number, job), partial(run.ended, number, job, asked))
        side.finish()
    return run.tally


class _Run:
    """What has become of the videos so far, and how far those are that are being made."""

    def __init__(self, count: int, manifest: Manifest, report: Report, tell: Callable[[str], None]):
        self.tally = Tally()
        self._manifest, self._report, self._tell = manifest, report, tell
        self._pace, self._shares = Pace(), [0.0] * count

    def make(self, make: Make, number: int, job: Job, later: Later) -> dict[str, Any]:
        """Make a video; returns what became of it. Runs beside others."""
        begun, figures = time.monotonic(), {"outcome": DONE}
        try:
            figures |= make(job, lambda share, text: later(self._heard, number, job.source.name, share, text))
        except (ValueError, OSError) as error:
            figures |= {"outcome": FAILED, "error": str(error)}
        return {**figures, "seconds": round(time.monotonic() - begun, 3)}

    def was_done(self, number: int, asked: dict[str, Any]) -> None:
        """An earlier run has made this one, and perhaps was killed before it could say so."""
        if self._manifest.is_begun(asked["target"]):
            self._manifest.add({**asked, "outcome": DONE})
        self.tally = replace(self.tally, before=self.tally.before + 1)
        self._shares[number] = 1.0
        self._pace.pause()

    def ended(self, number: int, job: Job, asked: dict[str, Any], figures: dict[str, Any]) -> None:
        """Write down what became of a video."""
        self._shares[number] = 1.0
        if figures["outcome"] == DONE:
            self.tally = replace(self.tally, made=self.tally.made + 1)
        else:
            self.tally = replace(self.tally, failed=self.tally.failed + 1)
            self._tell(f"{job.source}: {figures['error']}")
        self._manifest.add({**asked, **figures})

    def _heard(self, number: int, name: str, share: float, text: str) -> None:
        """Report one video as a part of all."""
        count, self._shares[number] = len(self._shares), share
        done = sum(self._shares)
        self._pace.reached(done)
        left = time_left(self._pace.seconds_for(count - done))
        self._report(done / count, f"video {number + 1} of {count}, {name}: {text}{left and f' (all videos{left})'}")


def asked_of(job: Job, ask: Callable[[Job], dict[str, Any]]) -> dict[str, Any]:
    """What a job's entry in the manifest begins with."""
    return {"source": str(job.source), "target": str(job.target), **ask(job)}
