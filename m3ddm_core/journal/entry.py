"""A tensor, such as a finished clip, in a file of its own: written whole or not at all, and read only if it is that."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

SUFFIX, UNFINISHED = ".safetensors", ".part"
MOST_BYTES = 1 << 28
"""Of one entry: 16 frames of latents on a canvas of 2048x2048 pixels are 17 MB."""


class BrokenEntry(ValueError):
    """A file that is no entry, is damaged, or belongs to another key."""


def write_entry(path: Path, key: str, latents: Tensor) -> None:
    """Write a tensor, such as latents (4, 16, h, w), to a file that is there, whole and on the disk, once this returns.

    Raises OSError.
    """
    latents = latents.detach().cpu().contiguous()
    content = save({"latents": latents, "checksum": _checksum(key, latents)})
    part = path.with_name(f".{uuid.uuid4().hex}{UNFINISHED}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read_entry(path: Path, key: str) -> Tensor:
    """Read the tensor that was written under a key. Raises `BrokenEntry`, and OSError as the system has it."""
    if path.stat().st_size > MOST_BYTES:
        raise BrokenEntry(f"got a file of more than {MOST_BYTES:,} bytes")
    content = path.read_bytes()
    # The library raises errors of several kinds about bytes that are not its own.
    try:
        tensors = load(content)
    except Exception as error:
        raise BrokenEntry(f"got a damaged file ({type(error).__name__})") from error
    if tensors.keys() != {"latents", "checksum"}:
        raise BrokenEntry("got a file of another kind")
    latents = tensors["latents"]
    if not torch.equal(tensors["checksum"], _checksum(key, latents)):
        raise BrokenEntry("got contents that do not match their checksum")
    if not torch.isfinite(latents).all():
        raise BrokenEntry("got NaN or infinite latents")
    return latents


def _checksum(key: str, latents: Tensor) -> Tensor:
    """(32,), uint8, over key, dtype, shape and values."""
    sha = hashlib.sha256(f"{key} {latents.dtype} {tuple(latents.shape)}:".encode())
    sha.update(latents.reshape(-1).view(torch.uint8).numpy())
    return torch.frombuffer(bytearray(sha.digest()), dtype=torch.uint8)


def _sync_folder(folder: Path) -> None:
    """Put a new name on the disk too, where the system lets folders be opened for that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
