"""What a file is by its first bytes: a checkpoint's container, or one of the things saved in its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .archive import Archive, DamagedArchive
from .header import check_header
from .recognise import DOWNLOAD_AGAIN, WHERE_TO_GET, CheckpointError

SAFETENSORS = "safetensors file"
PICKLE = "PyTorch pickle"


def check_file(path: str | os.PathLike[str]) -> str:
    """Tell a checkpoint's container by its first bytes, whatever its name: ``SAFETENSORS`` or ``PICKLE``.

    Reads and checks a safetensors file's header or an archive's directory, nothing else. Raises `CheckpointError` for
    anything that is no checkpoint: no such file, an empty or a closed one, a Git LFS pointer, an HTML page, a truncated
    download.
    """
    path = Path(path)
    size = _regular_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise _closed(path, error) from None
    text = head.lstrip().lower()
    if size == 0:
        raise CheckpointError(f"{path.name}: got an empty file, expected a checkpoint; {DOWNLOAD_AGAIN}")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path.name}: got a Git LFS pointer of {size} bytes, expected the checkpoint it stands for; "
            "run `git lfs pull` in its repository, or download the file itself"
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CheckpointError(
            f"{path.name}: got a web page, expected a checkpoint: the page about the file was saved, or an error "
            "page; use the download link of the file itself"
        )
    if head.startswith(b"GGUF"):
        raise CheckpointError(f"{path.name}: got a GGUF file, expected safetensors or a PyTorch file; {WHERE_TO_GET}")
    # Before the pickles: the length that a safetensors file begins with may well have a pickle's first byte.
    if head[4:9] == b"\0\0\0\0{":
        check_header(path, size)
        return SAFETENSORS
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return PICKLE
    if head.startswith(b"\x80"):
        return PICKLE
    raise CheckpointError(
        f"{path.name}: got a file that is neither safetensors nor a PyTorch file (it begins {head[:8]!r}), "
        f"expected one of them; {DOWNLOAD_AGAIN}"
    )


def _regular_file(path: Path) -> int:
    """Return the size of an existing file."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{path}: got nothing, expected a checkpoint file; check the name") from None
    # A name may hold what no file system takes.
    except (OSError, ValueError) as error:
        raise _closed(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        found = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or pipe"
        raise CheckpointError(f"{path}: got {found}, expected a checkpoint file; choose the file itself")
    return status.st_size


def _closed(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path.name}: got a file that cannot be opened ({getattr(error, 'strerror', None) or error}), expected a "
        "readable one; change its permissions, or copy it to another place"
    )


def _check_zip(path: Path, size: int) -> None:
    try:
        names = Archive(path).members
    except DamagedArchive as fault:
        raise CheckpointError(
            f"{path.name}: got part of a PyTorch file ({size:,} bytes: it {fault}), expected all of it: a truncated or "
            f"damaged download; {DOWNLOAD_AGAIN}"
        ) from None
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(f"{path.name}: got an ordinary zip archive, expected a checkpoint; unpack it first")
