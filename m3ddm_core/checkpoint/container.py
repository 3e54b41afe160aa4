"""What a file is by its first bytes: a checkpoint's container, or one of the things saved in its place."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

from .recognise import WHERE_TO_GET, CheckpointError

SAFETENSORS = "safetensors file"
PICKLE = "PyTorch pickle"
DOWNLOAD_AGAIN = "download it again and compare its size with the one published"


def check_file(path: str | os.PathLike[str]) -> str:
    """Tell a checkpoint's container by its first bytes, whatever its name: ``SAFETENSORS`` or ``PICKLE``.

    Reads the header only. Raises `CheckpointError` for anything else: no such file, an empty file, a
    Git LFS pointer, an HTML page, a truncated download.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise CheckpointError(f"{path}: got {found}, expected a checkpoint file")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
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
        _check_safetensors(path, size)
        return SAFETENSORS
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path)
        return PICKLE
    if head.startswith(b"\x80"):
        return PICKLE
    raise CheckpointError(
        f"{path.name}: got a file that is neither safetensors nor a PyTorch file (it begins {head[:8]!r}), "
        f"expected one of them; {DOWNLOAD_AGAIN}"
    )


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    # Damaged directories also surface as names that do not decode or as versions unheard of.
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        size = path.stat().st_size
        raise CheckpointError(
            f"{path.name}: got part of a PyTorch file ({size:,} bytes, no whole archive), expected all of it: "
            f"a truncated or damaged download; {DOWNLOAD_AGAIN}"
        ) from None
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(f"{path.name}: got an ordinary zip archive, expected a checkpoint; unpack it first")


def _check_safetensors(path: Path, size: int) -> None:
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = file.read(length) if length <= size - 8 else b""
    needed = 8 + length
    if header:
        try:
            tensors = json.loads(header)
            needed += max((t["data_offsets"][1] for n, t in tensors.items() if n != "__metadata__"), default=0)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise CheckpointError(
                f"{path.name}: got a safetensors file with a damaged header; {DOWNLOAD_AGAIN}"
            ) from None
    if size < needed:
        raise CheckpointError(
            f"{path.name}: got {size:,} bytes of a safetensors file, expected {needed:,}: a truncated download; "
            f"{DOWNLOAD_AGAIN}"
        )
