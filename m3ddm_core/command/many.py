"""``python -m m3ddm_core outpaint FOLDER OUT``: the same for many videos as for one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..models import Models
from ..sampling.memory import is_of_memory, out_of_memory
from ..video.formats import SUFFIXES
from .jobs import Job, find_jobs
from .manifest import Manifest
from .one import outpaint_one
from .queue import Report, asked_of, run_jobs
from .settings import SHAPES

SOME_FAILED = 1
FILES = ("source", "checkpoint", "vae", "source_mask")
PLACES = {"source", "target"}
NO_SETTINGS = {
    *("run", "kept", "smaller", "in_one_line", "resume", "overwrite", "no_journal", "clips_per_batch"),
    "board",
    *("ray", "ray_workers", "ray_gpus", "ray_threads"),
}
"""Arguments that a finished video does not depend on."""


def outpaint_many(
    arguments: argparse.Namespace,
    models: Callable[[], Models],
    report: Report,
) -> int:
    """Outpaint all videos that ``arguments.source`` names into the folder ``arguments.target``; returns the exit code.

    models: loads them, once for all. Raises ValueError and OSError for what keeps all of them from being made.
    """
    source, out = Path(arguments.source), Path(arguments.target)
    if out.suffix.lower() in SUFFIXES or (out.exists() and not out.is_dir()):
        raise ValueError(f"got {out} to write the videos of {source} to, expected a folder")
    jobs = find_jobs(source, out, arguments.format)
    manifest = Manifest(out)
    if manifest.path.exists() and not (arguments.resume or arguments.overwrite):
        raise FileExistsError(
            f"got {out}, which holds an earlier run's results; --resume goes on with it, --overwrite makes all anew"
        )

    def ask(job: Job) -> dict[str, Any]:
        return _asked(_own(arguments, job))

    out.mkdir(parents=True, exist_ok=True)
    at_once = 1
    if not (arguments.resume and all(manifest.has_done(asked_of(job, ask)) for job in jobs)):
        at_once = models().scenes_at_once  # And what is wrong with them is wrong for every video.
    arguments.kept = f"the same command with --resume goes on from here; {manifest.path} says what is done"

    def make_job(job: Job, heard: Report) -> dict[str, Any]:
        own = _own(arguments, job)
        # What an earlier run has made, and --resume has not passed over, was made otherwise; no other file is replaced.
        own.overwrite = arguments.overwrite or manifest.made(own.target)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            return outpaint_one(own, models, heard)
        except (MemoryError, RuntimeError) as error:
            if not is_of_memory(error):
                raise
            raise ValueError(out_of_memory(error, own.smaller)) from error

    tally = run_jobs(
        jobs,
        make_job,
        manifest,
        ask,
        resume=arguments.resume,
        report=report,
        tell=lambda line: print(f"\nnot made: {line}", file=sys.stderr),
        at_once=at_once,
    )
    before = f", {tally.before} by an earlier run" if tally.before else ""
    print(f"{tally.made} of {len(jobs)} videos made{before}, {tally.failed} not; see {manifest.path}")
    return SOME_FAILED if tally.failed else 0


def _own(arguments: argparse.Namespace, job: Job) -> argparse.Namespace:
    """The arguments for one video, as if it had been given alone."""
    whole = dict(vars(arguments))
    if any(name in job.settings for name in SHAPES):
        whole |= dict.fromkeys(SHAPES)
    return argparse.Namespace(**{**whole, **job.settings, "source": str(job.source), "target": str(job.target)})


def _asked(own: argparse.Namespace) -> dict[str, Any]:
    """What decides a result: all settings, and which files they name, as JSON gives it back."""
    settings = {name: value for name, value in vars(own).items() if name not in NO_SETTINGS | PLACES}
    return {
        "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        "files": {name: _stamp(Path(path)) for name in FILES if (path := getattr(own, name))},
    }


def _stamp(path: Path) -> list[int]:
    """Size and time of a file, and nothing for one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
