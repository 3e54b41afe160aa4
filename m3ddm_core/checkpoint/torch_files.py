"""Files of ``torch.save``, zipped or in the older form of one pickle after the other, read without unpickling.

Where a tensor lies comes from the file: that it lies within its storage, and the storage within the file, is checked
before anything is read there. ``torch.load`` takes the file's word for it, and for what its pickles cost.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .archive import MOST_UNPACKED, SPARE, Archive, DamagedArchive
from .pickled import NamedCode, Storage, StoredTensor, UnreadablePickle
from .pickles import follow
from .recognise import DOWNLOAD_AGAIN, CheckpointError, shown

MOST_PICKLE = 32 << 20
MOST_ELEMENTS = 1 << 48
WIDEST_NUMBER = 8
"""Bytes of the widest number: what any number may be aligned to."""

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT = struct.Struct("<q")

BytesOf = Callable[[Storage], memoryview]


class _Damaged(ValueError):
    """What is wrong with a file; the message is whole but for its subject, "it"."""


def read_torch_file(path: Path, *, mapped: bool = True) -> Any:
    """Return what ``torch.save`` wrote: nested dicts and lists of plain values, with tensors in the dicts.

    ``mapped``: tensors are mapped from the file where it is not packed, privately; False copies them into memory.
    Raises `CheckpointError`, with the file's name, for what torch cannot have written or no checkpoint holds.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        tree, bytes_of = _open_zip(path) if zipped else _open_older(path)
        needed = _fill(tree, bytes_of, mapped)
    except NamedCode as code:
        raise CheckpointError(
            f"{path.name}: got a pickle that holds code or objects ({shown(str(code))}), expected tensors only; it was "
            "not opened, since that would run it. Ask for a safetensors file, or save the bare state dict from the "
            "program that wrote this one"
        ) from None
    except UnreadablePickle as fault:
        raise _unreadable(path, f"its pickle {fault}") from None
    except (DamagedArchive, _Damaged) as fault:
        raise _unreadable(path, f"it {fault}") from None
    size = path.stat().st_size
    if needed > MOST_UNPACKED * size + SPARE:
        # As weights, numbers that are stored once and repeated would fill any memory.
        raise CheckpointError(
            f"{path.name}: got tensors of {needed:,} bytes in {size:,} bytes of file, expected them to be stored in "
            "full; save the state dict again with `.contiguous()` tensors"
        )
    return tree


def _unreadable(path: Path, fault: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name}: got a PyTorch file that cannot be read ({fault}), expected a whole one; {DOWNLOAD_AGAIN}"
    )


def _open_zip(path: Path) -> tuple[Any, BytesOf]:
    archive = Archive(path)
    # Each file has a folder of its own inside, named after the file.
    top = next((name.partition("/")[0] for name in archive.members if name.partition("/")[2] == "data.pkl"), None)
    if top is None:
        raise _Damaged("has no data.pkl where torch puts it")
    if f"{top}/constants.pkl" in archive.members:
        raise CheckpointError(
            f"{path.name}: got a TorchScript program, expected weights alone; save the state dict from the program "
            "that wrote it"
        )
    if archive.members[f"{top}/data.pkl"].file_size > MOST_PICKLE:
        raise _Damaged(f"has a pickle of more than {MOST_PICKLE:,} bytes")
    if f"{top}/byteorder" in archive.members and bytes(archive.read(f"{top}/byteorder")) != b"little":
        raise _Damaged("is from a machine that writes numbers the other way round")

    def bytes_of(storage: Storage) -> memoryview:
        name = f"{top}/data/{storage.key}"
        if name not in archive.members:
            raise _Damaged(f"has no storage {shown(storage.key)}")
        return archive.read(name)

    return follow(io.BytesIO(archive.read(f"{top}/data.pkl"))), bytes_of


def _open_older(path: Path) -> tuple[Any, BytesOf]:
    """Five pickles (magic number, protocol, the machine, what was saved, keys of the storages), then the storages."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if follow(content) != _MAGIC:
        raise _Damaged("is a pickle, but none that torch wrote")
    storages: dict[str, Storage] = {}
    protocol, machine, tree, keys = follow(content), follow(content), follow(content, storages), follow(content)
    if protocol != _PROTOCOL or not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _Damaged("is of a form that is not known, or from a machine that writes numbers the other way round")
    # What is no key is not put in words: lists that share lists take for ever.
    if not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
        raise _Damaged("has no list of its storages")
    if set(map(str, keys)) != storages.keys():
        raise _Damaged("lists other storages than it uses")
    places = {}
    position = content.tell()
    for key in map(str, keys):
        storage = storages[key]
        count = content[position : position + _COUNT.size]
        start, size = position + _COUNT.size, storage.count * storage.dtype.itemsize
        position = start + size
        if position > len(content):
            raise _Damaged(f"has {len(content):,} bytes and needs {position:,} or more: a truncated download")
        if _COUNT.unpack(count) != (storage.count,):
            raise _Damaged(f"has a storage of another size, {shown(key)}")
        places[key] = slice(start, position)
    if position < len(content):
        raise _Damaged(f"has {len(content):,} bytes and needs {position:,}: something was added to it")
    return tree, lambda storage: memoryview(content)[places[storage.key]]


def _fill(tree: Any, bytes_of: BytesOf, mapped: bool) -> int:
    """Put tensors in place of the `StoredTensor`s in nested dicts, each storage read once; return their bytes."""
    needed = 0
    storages: dict[Storage, Tensor] = {}
    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, dict) or id(found) in seen:
            continue
        seen.add(id(found))
        for key, value in found.items():
            if isinstance(value, StoredTensor):
                _check_within_storage(value, str(key))
                if value.storage not in storages:
                    storages[value.storage] = _as_bytes(bytes_of(value.storage), value.storage, mapped)
                typed = storages[value.storage].view(value.dtype)
                found[key] = torch.as_strided(typed, value.shape, value.stride, value.offset)
                needed += found[key].nbytes
            else:
                waiting.append(value)
    return needed


def _check_within_storage(tensor: StoredTensor, name: str) -> None:
    size = tensor.storage.count * tensor.storage.dtype.itemsize // tensor.dtype.itemsize
    last = tensor.offset + sum((side - 1) * step for side, step in zip(tensor.shape, tensor.stride, strict=True))
    if math.prod(tensor.shape) > MOST_ELEMENTS or (all(tensor.shape) and last >= size):
        raise _Damaged(f"has a tensor larger than what it was cut from, {shown(name)}")


def _as_bytes(content: memoryview, storage: Storage, mapped: bool) -> Tensor:
    if len(content) != storage.count * storage.dtype.itemsize:
        raise _Damaged(f"has a storage of another size, {shown(storage.key)}")
    if not len(content):
        return torch.empty(0, dtype=torch.uint8)
    found = torch.frombuffer(content if mapped else bytearray(content), dtype=torch.uint8)
    # In zip files torch puts numbers where the machine can read them at once; elsewhere they have to be moved.
    return found.clone() if found.data_ptr() % WIDEST_NUMBER else found
