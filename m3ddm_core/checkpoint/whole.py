"""Files that take their place only when they are complete."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_SECONDS = 600
"""Nobody who is still writing a file pauses for so long."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the path to write to, beside ``path``, and move it there if nothing was raised; else it is removed.

    What writers that were killed have left beside it is cleared first.
    """
    _clear(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    leftover = re.compile(rf"\.{re.escape(path.name)}\.\d+\.partial")
    # Another process may do the same; and a folder that cannot be listed may still be written to.
    with suppress(OSError):
        for found in path.absolute().parent.iterdir():
            if leftover.fullmatch(found.name) and time.time() - found.stat().st_mtime > STALE_SECONDS:
                found.unlink()
