"""Child processes that do not outlive this one, and neither do those that they have started themselves.

Where this process is interrupted or ended while it waits (``run.py`` turns SIGTERM into an exception), what it waits
for is ended with all that belongs to it: `python -m venv` starts an ensurepip, pip its builds, pytest its servers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SECONDS_TO_END = 10.0
"""For what was asked to end, before it is killed."""


@contextmanager
def started(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen]:
    """Start a command, with the options of `subprocess.Popen`; an error in the block ends it and all of its own."""
    with subprocess.Popen(command, start_new_session=sys.platform != "win32", **options) as process:
        try:
            yield process
        except BaseException:
            end(process)
            raise


def run(command: Sequence[str | Path], *, capture_output: bool = False, **options: Any) -> subprocess.CompletedProcess:
    """As `subprocess.run`, without a time-out."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, **options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def end(process: subprocess.Popen) -> None:
    """Ask a process and all of its session to end, and kill what is left of them."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True)
    else:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
        _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen, number: int) -> None:
    # The group is there, under the number of its first process, as long as any of it lives.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
