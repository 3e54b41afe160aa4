"""What becomes of many videos: the manifest, what is passed over, and what an earlier run has done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3ddm_core.command.jobs import Job
from m3ddm_core.command.manifest import Manifest
from m3ddm_core.command.queue import Tally, run_jobs
from tests.helpers.manifests import ended


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [Job(tmp_path / f"{number}.mov", tmp_path / f"{number}.mp4", {"seed": number}) for number in range(5)]


class Maker:
    """Makes files, but for those that are broken; counts, and may be stopped before one."""

    def __init__(self, broken=(), stop=None):
        self.broken, self.stop, self.made = broken, stop, []

    def __call__(self, job, report):
        name = job.source.name
        if name == self.stop:
            raise KeyboardInterrupt
        report(0.5, "clip 1 of 2")
        if name in self.broken:
            raise ValueError(f"got {name}, which cannot be read")
        job.target.write_bytes(b"video")
        self.made.append(name)
        return {"frames": 8}


def run(jobs, maker, resume=False, ask=lambda job: {"settings": job.settings}):
    heard, told = [], []
    manifest = Manifest(jobs[0].target.parent)
    options = {"resume": resume, "report": lambda share, text: heard.append((share, text)), "tell": told.append}
    return run_jobs(jobs, maker, manifest, ask, **options), heard, told


def test_broken_ones_are_named_and_passed_over(jobs):
    tally, heard, told = run(jobs, Maker({"1.mov", "3.mov"}))
    assert tally == Tally(made=3, failed=2)
    assert [line.split(": ")[1] for line in told] == [
        "got 1.mov, which cannot be read",
        "got 3.mov, which cannot be read",
    ]
    assert heard[2][0] == 0.5 and heard[2][1].startswith("video 3 of 5, 2.mov: clip 1 of 2")
    lines = ended(jobs[0].target.parent)
    assert [line["outcome"] for line in lines] == ["done", "failed", "done", "failed", "done"]
    assert lines[1]["error"] == "got 1.mov, which cannot be read" and lines[0]["frames"] == 8
    assert lines[4]["settings"] == {"seed": 4} and lines[4]["seconds"] >= 0


def test_what_is_done_is_not_done_again(jobs):
    with pytest.raises(KeyboardInterrupt):
        run(jobs, Maker({"1.mov"}, stop="3.mov"))
    again = Maker()
    tally, *_ = run(jobs, again, resume=True)
    assert again.made == ["1.mov", "3.mov", "4.mov"] and tally == Tally(made=3, before=2)
    assert run(jobs, Maker(), resume=True)[0] == Tally(before=5)
    every = Maker()
    run(jobs, every)
    assert len(every.made) == 5, "without resume all is made anew"


def test_what_was_asked_otherwise_or_is_gone_is_made_again(jobs):
    run(jobs, Maker())
    jobs[0].target.unlink()
    changed = [Job(job.source, job.target, {"seed": 9}) if job is jobs[1] else job for job in jobs]
    again = Maker()
    run(changed, again, resume=True)
    assert again.made == ["0.mov", "1.mov"]


def test_a_kill_before_or_in_a_line_loses_no_finished_file(jobs):
    """The file stands under its name, and the manifest knows no more than that it was begun."""
    run(jobs, Maker())
    path = jobs[0].target.parent / "manifest.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for left in (0, 20):
        path.write_text("".join(lines[:-1]) + lines[-1][:left])
        again = Maker()
        assert run(jobs, again, resume=True)[0] == Tally(before=5) and not again.made
        assert json.loads(path.read_text().splitlines()[-1])["outcome"] == "done"


def test_what_was_begun_and_is_not_there_is_made(jobs):
    with pytest.raises(KeyboardInterrupt):
        run(jobs, Maker(stop="3.mov"))
    again = Maker()
    assert run(jobs, again, resume=True)[0] == Tally(made=2, before=3) and again.made == ["3.mov", "4.mov"]


def test_a_file_of_others_that_was_there_is_never_taken_for_ours(jobs):
    jobs[3].target.write_bytes(b"somebody's own")
    with pytest.raises(KeyboardInterrupt):
        run(jobs, Maker(stop="3.mov"))
    manifest = Manifest(jobs[0].target.parent)
    assert not manifest.made(str(jobs[3].target)) and manifest.made(str(jobs[2].target))
