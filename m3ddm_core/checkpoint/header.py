"""The header of a safetensors file, checked before anything else of the file is read.

The format: eight bytes of length, a JSON object of that length with dtype, shape and place of every tensor, and then
the tensors without gaps. https://github.com/huggingface/safetensors describes it.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from .recognise import DOWNLOAD_AGAIN, CheckpointError, shown

MOST_BYTES = 8 << 20
"""The published network's header takes 0.2 MB. The format itself allows 100 MB."""
MOST_TENSORS = 65_536
MOST_DIMENSIONS = 16
MOST_ELEMENTS = 1 << 48

_SIZES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
"""Bytes of an element by the format's name of its dtype: those that every version of torch that we run on has."""

_PREFIX = 8


class _Damaged(ValueError):
    """What is wrong with a header; the message completes "a damaged header: ..."."""


def check_header(path: Path, size: int) -> None:
    """Raise `CheckpointError` unless a file of ``size`` bytes holds exactly the tensors that its header names."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(_PREFIX))
        if length > MOST_BYTES:
            raise CheckpointError(
                f"{path.name}: got a safetensors header of {length:,} bytes, expected at most {MOST_BYTES:,}: the file "
                f"is damaged or no checkpoint; {DOWNLOAD_AGAIN}"
            )
        header = file.read(length)
    needed = _PREFIX + length
    if len(header) == length:
        try:
            needed += _end_of_tensors(_parse(header))
        except _Damaged as damage:
            raise CheckpointError(
                f"{path.name}: got a safetensors file with a damaged header ({damage}), expected a whole one; "
                f"{DOWNLOAD_AGAIN}"
            ) from None
    if size < needed:
        raise CheckpointError(
            f"{path.name}: got {size:,} bytes of a safetensors file, expected {needed:,}: a truncated download; "
            f"{DOWNLOAD_AGAIN}"
        )
    if size > needed:
        raise CheckpointError(
            f"{path.name}: got {size:,} bytes of a safetensors file, expected {needed:,}: something was added to it; "
            f"{DOWNLOAD_AGAIN}"
        )


def _parse(header: bytes) -> dict[str, Any]:
    try:
        found = json.loads(header.decode("utf-8"))
    # Nesting without end is a RecursionError.
    except (ValueError, RecursionError):
        raise _Damaged("it is no JSON") from None
    if not isinstance(found, dict):
        raise _Damaged("it is no JSON object")
    if len(found) > MOST_TENSORS:
        raise _Damaged(f"it names {len(found):,} tensors, more than {MOST_TENSORS:,}")
    texts = found.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise _Damaged("its metadata is not text")
    return found


def _end_of_tensors(entries: dict[str, Any]) -> int:
    """Return the bytes that all tensors take; each is to begin where the one before it ends."""
    end = 0
    for start, stop in sorted(_span(name, entry) for name, entry in entries.items()):
        if start != end:
            raise _Damaged("its tensors overlap or leave gaps")
        end = stop
    return end


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Return where a tensor begins and ends, counted from the end of the header."""
    try:
        dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        sound = isinstance(shape, list) and len(shape) <= MOST_DIMENSIONS
        sound = sound and all(type(number) is int and number >= 0 for number in (*shape, start, stop))
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise _Damaged(f"{shown(name)} has no dtype, shape and place")
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise _Damaged(f"{shown(name)} is of an unknown dtype")
    # Of an empty tensor the other sides may be what they like: they count as well.
    if math.prod(max(side, 1) for side in shape) > MOST_ELEMENTS:
        raise _Damaged(f"{shown(name)} is of an impossible shape")
    if stop - start != math.prod(shape) * _SIZES[dtype]:
        raise _Damaged(f"the place of {shown(name)} does not fit its shape")
    return start, stop
