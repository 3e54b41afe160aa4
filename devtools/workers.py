"""Over how many processes the tests of a tier are spread, by pytest-xdist: one a core, as far as memory allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import children
from .host import clean_environment

GIB_EACH = 3.0
"""What one takes at most, of memory: itself, a ComfyUI server and a browser."""

# What wants the terminal for itself.
_IN_SIGHT = {"-s", "--capture=no", "--pdb", "--trace", "--collect-only", "--co"}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def possible(python: Path) -> bool:
    """Whether pytest-xdist is installed for this interpreter; a user's own ComfyUI need not have it."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('xdist') is None)"
    return children.run([python, "-c", code], env=clean_environment(), capture_output=True).returncode == 0


def number(arguments: Sequence[str]) -> int:
    """How many to start, at least one; one where ``arguments``, which are pytest's, want to be seen at work."""
    if _IN_SIGHT & set(arguments):
        return 1
    return max(1, int(min(_cores(), _memory_gib() / GIB_EACH)))


def options(count: int) -> list[str]:
    """What tells pytest so. A later ``-n`` among its arguments takes the place of this one.

    Each worker begins with a stretch of the tests as they are listed, so that few make the same module's fixtures,
    and takes over from the others when it is done.
    """
    return ["-n", str(count if count > 1 else 0), "--dist", "worksteal"]


def environment(count: int) -> dict[str, str]:
    """What they and the servers they start are to compute with: one thread each where there is more than one worker."""
    return {name: "1" for name in _THREADS if count > 1}


def _cores() -> int:
    """Those this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float:
    """The machine's memory; infinite where the platform does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return float("inf")
