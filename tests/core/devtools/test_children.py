"""Whoever ends run.py ends what it waits for too, down to the last grandchild."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools import children

ROOT = Path(__file__).resolve().parents[3]

WAITING = """
import signal, subprocess, sys, time
from devtools import children, pip
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
# Shells let what they start in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
print("begun", flush=True)
sleep = "import time; time.sleep(3600)"
spawn = f"import subprocess, sys; print(0, flush=True); subprocess.run([sys.executable, '-c', {sleep!r}, sys.argv[-1]])"
{
    "run": lambda: children.run([sys.executable, "-c", spawn, sys.argv[2]]),
    "pip": lambda: pip.run(Path(sys.argv[3]), ["install"], "Installing", Path(sys.argv[2] + ".log")),
}[sys.argv[1]]()
"""


def test_what_a_command_says_and_how_it_ends_comes_back():
    answer = children.run([sys.executable, "-c", "print(1); raise SystemExit(3)"], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (3, "1", "")


def alive(mark: str) -> list[str]:
    """The processes whose command line holds a mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(folder.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("way", ["run", "pip"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_from_outside_nothing_is_left_running(tmp_path, way, number):
    mark = str(tmp_path)
    # Stands in for a Python whose pip builds something in a process of its own.
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{sys.executable} -c 'import time; time.sleep(3600)' {mark}\n")
    python.chmod(0o755)
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITING, way, f"{mark}/mark", str(python)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert comes_true(lambda: len(alive(mark)) >= 3), "itself, its child and the child of that"
    waiting.send_signal(number)
    waiting.wait(120)
    # What was killed is there until the system has come to it.
    assert comes_true(lambda: alive(mark) == [])


def comes_true(condition: Callable[[], bool], seconds: float = 120) -> bool:
    """Wait for a condition; False where it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
