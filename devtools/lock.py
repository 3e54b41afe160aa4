"""A lock file that two runs on one machine cannot hold at once."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .report import LiveLine


@contextlib.contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold ``file`` for this process alone, waiting while another has it.

    The operating system lets go of it when the process ends, however it ends, so no stale lock can be left.
    """
    with file.open("a+", encoding="utf-8") as handle:
        waiting = LiveLine(every=30.0)
        while not _try_lock(handle.fileno()):
            waiting.show(f"Waiting for another run that is at work in {file.parent}")
            time.sleep(1.0)
        waiting.done()
        try:
            yield
        finally:
            _unlock(handle.fileno())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
