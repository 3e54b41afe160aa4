"""Kills are counted right, and what a kill must not leave is found out; with made-up runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kills.measure import measure, summary
from benchmarks.kills.way import Due, Run

ROOT = Path(__file__).resolve().parents[3]
CLIPS, SECONDS_A_CLIP, SAVING = 5, 2.0, 4.0
WHOLE = CLIPS * SECONDS_A_CLIP + SAVING
CONTENT = b"a whole video"


class MadeUp:
    """A way whose runs are sums; ``resumes``: whether a run begins where the last one was killed."""

    def __init__(self, out: Path, *, resumes: bool = True, left: str = ""):
        self.out, self.resumes, self.left = out, resumes, left
        self.kept = 0

    def run(self, due: Due | None = None) -> Run:
        kept = self.kept if self.resumes else 0
        need = (CLIPS - kept) * SECONDS_A_CLIP + SAVING
        cpu = next((tick / 10 for tick in range(int(need * 10)) if due and due(tick / 10)), None)
        if cpu is None:
            (self.out / "out.mp4").write_bytes(CONTENT)
            return Run(need, need, CLIPS - kept, False, 1.0)
        if self.left:
            (self.out / self.left).write_bytes(CONTENT[:4])
        finished = min(CLIPS - kept, int(cpu // SECONDS_A_CLIP))
        self.kept = kept + finished
        return Run(cpu, cpu, min(CLIPS - kept, finished + 1), True, 1.0)

    def forget(self) -> None:
        self.kept = 0


def test_what_is_kept_is_not_done_again(tmp_path: Path) -> None:
    result = measure(MadeUp(tmp_path), 8, seed=0)
    assert len(result["kills"]) == 8
    for kill in result["kills"]:
        assert kill["equal"] and not kill["left"]
        assert kill["again"] == (kill["moment"] < CLIPS * SECONDS_A_CLIP - 0.1)
        assert 0 <= kill["lost"] < SAVING
    assert "8 kills: 8 files equal byte by byte, nothing left beside 8 of them" in summary(result)


def test_what_begins_anew_is_counted(tmp_path: Path) -> None:
    result = measure(MadeUp(tmp_path, resumes=False), 8, seed=0)
    for kill in result["kills"]:
        assert kill["again"] == kill["begun"] and kill["lost"] == pytest.approx(kill["moment"], abs=0.11)


def test_a_half_made_file_under_its_name_is_an_error_and_one_beside_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a file that is not whole stands under its name"):
        measure(MadeUp(tmp_path, left="out.mp4"), 1, seed=0)
    (tmp_path / "out.mp4").unlink()
    (kill,) = measure(MadeUp(tmp_path, left=".out.mp4.part"), 1, seed=0)["kills"]
    assert kill["left"] == [".out.mp4.part"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the command line is killed in a fork")
def test_the_command_line_is_killed_and_goes_on() -> None:
    command = [sys.executable, "-m", "tests.helpers.small_globals", "benchmarks.kills", "command"]
    command += ["--kills", "1", "--frames", "20"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "2 clips" in answer.stdout, "they are counted"
    assert "1 kills: 1 files equal byte by byte, nothing left beside 1 of them" in answer.stdout
