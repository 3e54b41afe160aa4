"""A file that appears under its name when it is whole, and leaves nothing where it never is."""

from __future__ import annotations

import errno
import glob
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

UNFINISHED = ".part"
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
    # Absolute: FFmpeg takes "a:b.mp4" for something of the protocol a.
    path = Path(os.path.abspath(path))
    part = _part(path, uuid.uuid4().hex[:8])
    with telling(path):
        _clear(path)
        file = part.open("xb")
    try:
        with file:
            _lock(file)
            yield part
            with telling(path):
                os.fsync(file.fileno())
        with telling(path):
            os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise `CannotWrite` where no file of that name can come to be, before anything is made for it."""
    path = Path(os.path.abspath(path))
    with telling(path):
        for trial in (_part(path, "trial"), path):
            if not trial.exists():
                trial.open("xb").close()
                trial.unlink()


def _part(path: Path, token: str) -> Path:
    return path.with_name(f".{path.name[:NAME_KEPT]}.{token}{UNFINISHED}")


def _clear(path: Path) -> None:
    """Remove unfinished files that nobody is writing."""
    for part in path.parent.glob(f".{glob.escape(path.name[:NAME_KEPT])}.*{UNFINISHED}"):
        with suppress(OSError):
            if not _in_use(part):
                part.unlink()


if sys.platform == "win32":

    def _lock(file: IO[bytes]) -> None:
        """Files that are open cannot be removed here, which is lock enough."""

    def _in_use(part: Path) -> bool:
        return False

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        """The system lets go of the lock when the process ends, however it ends."""
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _in_use(part: Path) -> bool:
        """Whether a process is writing it, or that cannot be told."""
        with part.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False
