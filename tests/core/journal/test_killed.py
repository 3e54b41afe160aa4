"""SIGKILL at any moment of a run from file to file: the next one goes on, and the file comes out the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from m3ddm_core.journal.store import BULKY
from m3ddm_core.outpaint.plan import plan_video
from m3ddm_core.video.file import FileSource
from tests.helpers.panned_files import write_pan

ROOT = Path(__file__).resolve().parents[3]
FRAMES = 64
CLIPS = sum(len(wave) for stage in plan_video(FRAMES) for wave in stage)
KILLS = 6

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs that are killed are forks")


class Runs:
    """A process that runs and kills; see tests/helpers/killed_runs.py."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "tests.helpers.killed_runs", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, moment=""):
        self.begin(moment)
        return self.end()

    def begin(self, moment=""):
        self.process.stdin.write(f"{moment}\n")
        self.process.stdin.flush()

    def end(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Whole(NamedTuple):
    """A run that nobody killed: a folder with its files, those that it made and its journal; and what it told."""

    folder: Path
    events: str

    @property
    def content(self) -> bytes:
        return paths_in(self.folder)[1].read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, narrow):
    """Of a clip of one scene that moves, with a tone, and a small checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    paths = paths_in(folder)
    write_pan(paths[0], FRAMES, 48)
    shutil.copyfile(narrow, paths[2])
    paths[1].parent.mkdir()
    runs = Runs(*paths)
    told = runs()
    runs.close()
    assert told["events"].count("b") == told["events"].count("k") == CLIPS and told["there"] and not told["killed"]
    return Whole(folder, told["events"])


@pytest.fixture
def files(tmp_path, whole):
    """The same clip and checkpoint, of which nothing has been made."""
    paths = paths_in(tmp_path)
    for kept, path in zip(paths_in(whole.folder)[::2], paths[::2], strict=True):
        shutil.copyfile(kept, path)
    paths[1].parent.mkdir()
    return paths


def paths_in(folder: Path) -> tuple[Path, Path, Path]:
    """Source, target and checkpoint."""
    return folder / "in.mp4", folder / "out" / "out.mp4", folder / "network.safetensors"


def frames_of(path):
    return torch.stack(list(FileSource(str(path)).frames()))


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_file(files, whole):
    _, target, _ = files
    runs = Runs(*files)
    draw, begun = random.Random(0), 0
    # Each run is killed after a part of what is still to be done, at the beginning, while sampling, while writing.
    for number in range(KILLS):
        answer = runs(f"{draw.randint(1, len(whole.events) // 3)} {draw.choice((0, 1, 5, 20))}")
        assert answer["killed"] and not answer["there"], (number, answer)
        begun += answer["events"].count("b")
    last = runs()
    begun += last["events"].count("b")
    runs.close()
    assert last["there"] and not last["killed"]
    assert CLIPS <= begun <= CLIPS + KILLS, "no kill costs more than the clip that was under way"
    assert torch.equal(frames_of(target), frames_of(paths_in(whole.folder)[1]))
    assert target.read_bytes() == whole.content, "the container too, with its sound and times"
    assert last["beside"] == [".out.mp4.journal"]


def test_a_kill_while_the_file_is_written_leaves_none_under_its_name(files, whole):
    shutil.copytree(whole.folder / "out" / ".out.mp4.journal", files[1].with_name(".out.mp4.journal"))
    runs = Runs(*files)
    sampled = len(whole.events.rstrip("s")) - 2 * whole.events.count("b")
    killed = runs(f"{sampled + FRAMES // 2} 0")
    assert killed["killed"] and not killed["there"]
    assert any(name.startswith(".out.mp4.") and name.endswith(".part") for name in killed["beside"])
    assert "b" not in killed["events"], "all clips were there"
    last = runs()
    assert "b" not in last["events"] and files[1].read_bytes() == whole.content
    assert last["beside"] == [".out.mp4.journal"]
    runs.close()


def test_scenes_that_were_finished_and_written_are_taken_up_after_a_kill(files):
    """Four scenes of a clip each. Killed while the second is sampled, and while the last is written."""
    cuts = 16, 32, 48
    runs, journal = Runs(*files, *cuts), files[1].with_name(".out.mp4.journal")
    told = runs()["events"]
    assert told.count("b") == 4 and told.count("k") == 3 * 4, "of each its clip, its latents and what is written"
    content = files[1].read_bytes()
    shutil.rmtree(journal)
    files[1].unlink()
    killed = runs(f"{told.index('b', told.index('b') + 1) + 2} 0")
    assert killed["killed"] and killed["events"].count("b") == 2
    first_scene = told.index("k", told.index("k") + 1) + 1 - FRAMES
    begun = runs(f"{len(told) - first_scene - 6} 0")
    assert begun["killed"] and not begun["there"] and begun["events"].count("b") == 3
    written = [path for path in journal.iterdir() if BULKY in path.name]
    assert len(written) == 3
    last = runs()
    assert last["events"].count("b") == 0 and last["events"].count("k") == 4 - len(written)
    assert files[1].read_bytes() == content and last["beside"] == [".out.mp4.journal"]
    runs.close()


def test_two_that_make_one_file_at_once_over_one_journal_both_end_in_it(files, whole):
    both = [Runs(*files), Runs(*files)]
    for runs in both:
        runs.begin()
    answers = [runs.end() for runs in both]
    assert files[1].read_bytes() == whole.content
    assert all(answer["there"] and not answer["killed"] for answer in answers)
    assert CLIPS <= sum(answer["events"].count("b") for answer in answers) <= 2 * CLIPS
    files[1].unlink()
    last = both[0]()
    assert "b" not in last["events"] and files[1].read_bytes() == whole.content
    assert last["beside"] == [".out.mp4.journal"]
    for runs in both:
        runs.close()
