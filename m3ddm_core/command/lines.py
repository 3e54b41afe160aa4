"""How far a command is, on a line that runs on."""

from __future__ import annotations

import sys
from collections.abc import Callable


def progress_line() -> Callable[[int, int], None]:
    """Return a callback for (bytes done, bytes in all)."""
    line = running_line()
    return lambda done, total: line(done / total, f"{done / 1e9:.2f} of {total / 1e9:.2f} GB")


def running_line() -> Callable[[float, str], None]:
    """Return a callback for (share done, what is being done): a running line on a terminal, else one each tenth."""
    terminal = sys.stderr.isatty()
    step = 1 if terminal else 10
    shown, width = -1, 0

    def report(share: float, text: str) -> None:
        nonlocal shown, width
        percent = int(100 * share)
        if percent // step == shown and not terminal:
            return
        shown = percent // step
        line = f"  {percent:3d} %  {text}"
        end = "\n" if not terminal or share >= 1 else ""
        print(f"\r{line:{width}s}" if terminal else line, end=end, file=sys.stderr, flush=True)
        width = len(line) if not end else 0

    return report
