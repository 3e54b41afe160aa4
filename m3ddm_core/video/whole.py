"""A file or folder that appears under its name when it is whole, and leaves nothing where it never is."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

UNFINISHED = ".part"
LOCK = ".lock"
"""Within an unfinished folder: as long as it is held, somebody is filling the folder."""
LEAST = 1 << 12
"""Bytes that there must be room for before anything is begun: FFmpeg writes its first ones late, and PyAV leaves a file
open of which it cannot write these."""
NAME_KEPT = 48
"""Characters of a name that its unfinished file shows: file systems take 255 bytes, and some letters are four."""

_OTHER_FOLDER = "write to a folder that you may write to"
_OTHER_NAME = "take a shorter name of plain letters and digits"
REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EFBIG: "write to a file system that takes larger files",
    errno.EACCES: _OTHER_FOLDER,
    errno.EPERM: _OTHER_FOLDER,
    errno.EROFS: _OTHER_FOLDER,
    errno.ENOENT: "make the folder first",
    errno.ENAMETOOLONG: _OTHER_NAME,
    errno.EINVAL: _OTHER_NAME,
    errno.EILSEQ: _OTHER_NAME,
}


class CannotWrite(OSError):
    """A file could not be written, and nothing of it was kept."""


@contextmanager
def telling(what: object) -> Iterator[None]:
    """Raise `CannotWrite`, with what to do about it, where the system refuses to write ``what``."""
    try:
        yield
    except CannotWrite:
        raise
    except UnicodeEncodeError as error:
        raise CannotWrite(
            f"{str(what)!r} could not be written: its name holds what is no text; {_OTHER_NAME}"
        ) from error
    except OSError as error:
        remedy = REMEDIES.get(error.errno, "try another folder")
        reason = error.strerror or error
        raise CannotWrite(f"{what} could not be written: {reason}; nothing of it was kept: {remedy}") from error


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield where to write a file, beside ``path``: it takes that name when the block ends, and goes if that fails.

    What processes that were killed have left of the same name is cleared away. Raises `CannotWrite`.
    """
    require_name(path)
    # Absolute: FFmpeg takes "a:b.mp4" for something of the protocol a.
    whole = Path(os.path.abspath(path))
    part = _part(whole, uuid.uuid4().hex[:8])
    with telling(path):
        _clear(whole)
        file = part.open("xb", buffering=0)
    try:
        with file:
            _lock(file)
            with telling(path):
                _require_room(file)
            yield part
            with telling(path):
                os.fsync(file.fileno())
        with telling(path):
            os.replace(part, whole)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def require_name(path: str | os.PathLike[str]) -> None:
    """Raise `CannotWrite` for a name that the file system refuses, while it is early."""
    with telling(path), suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise `CannotWrite` where no file of that name can come to be, before anything is made for it.

    Nothing is tried under the name itself: another process may be about to finish a file there.
    """
    require_name(path)
    trial = _part(Path(path), uuid.uuid4().hex[:8])
    with telling(path), trial.open("xb", buffering=0) as file:
        try:
            _require_room(file)
        finally:
            file.close()
            trial.unlink()


def _require_room(file: IO[bytes]) -> None:
    """Raise OSError where a new file cannot hold anything."""
    written = file.write(bytes(LEAST))
    while written < LEAST:
        written += file.write(bytes(LEAST - written))
    file.truncate(0)


def _part(path: Path, token: str) -> Path:
    return path.with_name(f".{path.name[:NAME_KEPT]}.{token}{UNFINISHED}")


def _clear(path: Path) -> None:
    """Remove unfinished files and folders that nobody is writing."""
    for part in path.parent.glob(f".{glob.escape(path.name[:NAME_KEPT])}.*{UNFINISHED}"):
        with suppress(OSError):
            if part.is_dir():
                _clear_folder(part)
                continue
            with part.open("rb") as file:
                abandoned = _lock(file)
            if abandoned:
                part.unlink()


def _lock(file: IO[bytes]) -> bool:
    """Take a file for this process, until it is closed; False where another has it.

    The system lets go of it when a process ends, however it ends. On Windows no open file can be removed, which is lock
    enough.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder to fill, beside ``path``: it takes that name when the block ends, and goes if that fails.

    A folder of that name is replaced. What processes that were killed have left is cleared away. Raises `CannotWrite`.
    """
    require_name(path)
    whole = Path(os.path.abspath(path))
    part, former = (_part(whole, uuid.uuid4().hex[:8]) for _ in range(2))
    with telling(path):
        _clear(whole)
        part.mkdir()
    try:
        with (part / LOCK).open("xb") as file:
            _lock(file)
            yield part
        with telling(path):
            (part / LOCK).unlink()
            if whole.exists():
                whole.rename(former)
            try:
                part.rename(whole)
            except OSError:
                if former.exists():
                    former.rename(whole)
                raise
    finally:
        for rest in (part, former):
            shutil.rmtree(rest, ignore_errors=True)


def _clear_folder(part: Path) -> None:
    """Remove an unfinished folder, unless somebody is filling it. Raises OSError where its lock is gone or held."""
    with (part / LOCK).open("rb") as file:
        if not _lock(file):
            return
    # Windows refuses this while the file is open elsewhere.
    (part / LOCK).unlink()
    shutil.rmtree(part, ignore_errors=True)
