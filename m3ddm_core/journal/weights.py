"""Which weights a network has: a hash of all bytes of the file that they were read from.

Of the file, not of the tensors: these may lie on a device, in parts, cast or patched in place; and a file that was just
read is still in memory, where all cores hash it at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .digest import Unidentified, digest

CHUNK = 1 << 24
"""Bytes that are hashed in one go; chunks are hashed side by side."""
MOST_WORKERS = 8

Stamp = tuple[str, int, int, int, int]
"""Path, size, times of the last change of content and of the file itself, and number of a file."""


@dataclass(frozen=True)
class WeightsFile:
    """The file or folder that a network was read from, as it was then."""

    path: Path
    stamps: tuple[Stamp, ...]

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> WeightsFile:
        """Remember a file or folder that is about to be read."""
        path = Path(path)
        try:
            return cls(path, tuple(_stamp(file) for file in _files(path)))
        except (OSError, ValueError):
            # Whoever is about to read it says so better.
            return cls(path, ())

    def digest(self) -> str:
        """Hash its bytes, once in a process. Raises `Unidentified` where it is no longer as it was when it was read."""
        self._require_unchanged()
        try:
            found = _digest(self.stamps)
        except OSError as error:
            raise Unidentified(f"{self.path.name} can no longer be read ({error.strerror or error})") from error
        self._require_unchanged()
        return found

    def _require_unchanged(self) -> None:
        if not self.stamps or WeightsFile.at(self.path) != self:
            raise Unidentified(f"{self.path.name} is no longer the file that was loaded")


def _files(path: Path) -> list[Path]:
    """A file, or what lies in a folder in diffusers' form."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@lru_cache(maxsize=32)
def _digest(stamps: tuple[Stamp, ...]) -> str:
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_WORKERS)) as workers:
        return digest(list(workers.map(_hash_chunk, _chunks(stamps))))


def _chunks(stamps: tuple[Stamp, ...]) -> Iterator[tuple[str, int]]:
    for path, size, *_ in stamps:
        yield from ((path, start) for start in range(0, max(size, 1), CHUNK))


def _hash_chunk(chunk: tuple[str, int]) -> tuple[int, str]:
    path, start = chunk
    with open(path, "rb") as file:
        file.seek(start)
        return start, hashlib.sha256(file.read(CHUNK)).hexdigest()
