"""What the two commands print: steps with their time, one live line on a terminal, and errors that say what to do."""

from __future__ import annotations

import shutil
import sys
import time


class Problem(RuntimeError):
    """Something the user can put right; the message says what was found, what was expected and what to do."""


class LiveLine:
    """One line that is rewritten on a terminal; in a log file, a line now and then instead.

    ``every`` is the least number of seconds between two lines where the output is not a terminal.
    """

    def __init__(self, every: float = 10.0) -> None:
        self.terminal = sys.stdout.isatty()
        self.every = every
        self.started = time.monotonic()
        self._last = float("-inf") if self.terminal else self.started
        self._width = 0

    def show(self, text: str, *, force: bool = False) -> None:
        """Show ``text`` with the seconds since the start; ``force`` prints it even where lines are held back."""
        now = time.monotonic()
        if self.terminal:
            if now - self._last < 0.1 and not force:
                return
            columns = shutil.get_terminal_size().columns
            line = f"  {text}  [{elapsed(now - self.started)}]"[: columns - 1]
            print("\r" + line.ljust(self._width), end="", flush=True)
            self._width = len(line)
        else:
            if now - self._last < self.every and not force:
                return
            print(f"  {text}  [{elapsed(now - self.started)}]", flush=True)
        self._last = now

    def done(self, text: str = "") -> None:
        """End the live line, leaving ``text`` (with its time) in its place where given."""
        if self.terminal and self._width:
            print("\r" + " " * self._width + "\r", end="", flush=True)
        if text:
            print(f"  {text}  [{elapsed(time.monotonic() - self.started)}]", flush=True)
        self._width = 0


def say(text: str = "") -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


def elapsed(seconds: float) -> str:
    """``75.2`` -> ``1:15``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def bar(value: float, maximum: float, width: int = 24) -> str:
    """A bar of ``width`` characters, plain ASCII so that every console can show it."""
    share = min(1.0, max(0.0, value / maximum)) if maximum else 0.0
    full = round(share * width)
    return "[" + "#" * full + "." * (width - full) + "]"
