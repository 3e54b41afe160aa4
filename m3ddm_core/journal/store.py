"""The journal: a folder of finished clips and the like, bounded in size and age, open to several processes at once."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from .entry import SUFFIX, UNFINISHED, BrokenEntry, read_entry, write_entry

MOST_DAYS = 30.0
SECONDS_A_DAY = 86_400
UNFINISHED_SECONDS = 3_600
"""After that long nobody is still writing a file."""
PUTS_BETWEEN_LOOKS = 16
"""The folder is looked through at the first clip put into it, and then after every so many."""

USUAL, BULKY = "", ".bulky"
"""Kinds of entries, by what their names have before the suffix: of the bulky ones, which are quickly made, so many go
first as must."""

_OWN = re.compile(rf"[0-9a-f]{{64}}(\{BULKY})?\{SUFFIX}|\.[0-9a-f]{{32}}\{UNFINISHED}")


class Journal:
    """Tensors by key, such as finished clips. Nothing that is wrong with its folder stops a run: it is told once, and
    passed over.

    The folder is made when the first is put into it. ``most_bytes``: what all entries may take, None for any size;
    ``most_days``: how long one lies there unused. Bulky ones go first, and of each kind those longest unused. ``taken``
    counts the clips that a run took from it.
    """

    def __init__(self, folder: str | os.PathLike[str], *, most_bytes: int | None = None, most_days: float = MOST_DAYS):
        self.folder, self.most_bytes, self.most_days = Path(folder), most_bytes, most_days
        self.taken = 0
        self._puts = 0
        self._warned = False

    def take(self, key: str, kind: str = USUAL) -> Tensor | None:
        """Return the tensor that was put under a key, on the CPU; None where there is none that can be used."""
        path = self._path(key, kind)
        try:
            made = read_entry(path, key)
        except FileNotFoundError:
            return None
        except (OSError, BrokenEntry) as error:
            self._warn(f"{path.name} cannot be used: {error}; that is made again")
            return None
        with suppress(OSError):
            os.utime(path)
        return made

    def put(self, key: str, made: Tensor, kind: str = USUAL) -> None:
        """Keep what was made, such as the latents (4, 16, h, w) of a clip; it is on the disk once this returns."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_entry(self._path(key, kind), key, made)
            if self._puts % PUTS_BETWEEN_LOOKS == 0:
                self.prune()
            self._puts += 1
        except OSError as error:
            self._warn(f"it cannot be written: {error.strerror or error}; a run that is killed begins anew")

    def prune(self) -> None:
        """Remove what is too old, then the longest unused until the rest is small enough."""
        now, size = time.time(), 0
        for used, path, length in sorted(self._entries(), key=_worth, reverse=True):
            unfinished = path.name.endswith(UNFINISHED)
            size += length
            age = UNFINISHED_SECONDS if unfinished else self.most_days * SECONDS_A_DAY
            too_large = self.most_bytes is not None and size > self.most_bytes and not unfinished
            if now - used > age or too_large:
                path.unlink(missing_ok=True)

    def empty(self) -> None:
        """Remove all entries, and the folder if nothing else is in it."""
        try:
            for _, path, _ in self._entries():
                path.unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"it cannot be emptied: {error.strerror or error}")
        with suppress(OSError):
            self.folder.rmdir()

    def _entries(self) -> list[tuple[float, Path, int]]:
        """When it was last used, path and size of every file of the journal's own."""
        found = []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder) as folder:
            for file in folder:
                # Another process may take it away in between.
                with suppress(FileNotFoundError):
                    if _OWN.fullmatch(file.name):
                        status = file.stat()
                        found.append((status.st_mtime, Path(file.path), status.st_size))
        return found

    def _path(self, key: str, kind: str) -> Path:
        return self.folder / f"{key}{kind}{SUFFIX}"

    def _warn(self, what: str) -> None:
        if not self._warned:
            logging.warning("M3DDM: the journal in %s: %s.", self.folder, what)
        self._warned = True


def _worth(entry: tuple[float, Path, int]) -> tuple[bool, float]:
    """The more, the longer an entry stays."""
    used, path, _ = entry
    return not path.name.endswith(f"{BULKY}{SUFFIX}"), used
