"""The same seed gives the same bytes; what may make a difference, and how large that is.

Over a run that is killed and goes on: journal/test_killed.py; over servers: tests/e2e.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from m3ddm_core.checkpoint import save_checkpoint
from tests.helpers.checkpoint_files import TINY
from tests.helpers.same_again import hashed, made

ROOT = Path(__file__).resolve().parents[2]
MOST, USUAL = 1e-3, 1e-5
"""What docs/measuring.md states of frames in 0..1, for other batches of clips and other numbers of threads: at most,
and in the mean."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("determinism") / "tiny.safetensors"
    save_checkpoint(path, tiny, TINY)
    return str(path)


@pytest.fixture(scope="module")
def usual(checkpoint):
    return made(checkpoint)


def test_the_same_seed_gives_the_same_bytes_in_another_process(checkpoint, usual):
    command = [sys.executable, "-m", "tests.helpers.same_again", checkpoint]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == hashed(usual)


@pytest.mark.parametrize("changed", [{"clips_per_batch": 4}, {"threads": 2}])
def test_batches_of_clips_and_threads_change_what_rounding_does_and_no_more(checkpoint, usual, changed):
    difference = (made(checkpoint, **changed) - usual).abs()
    assert difference.max() < MOST and difference.mean() < USUAL
