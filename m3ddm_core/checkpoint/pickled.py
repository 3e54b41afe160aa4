"""What the names in a pickle stand for: dicts, tensors and what is left out. None of them is ever looked up.

A name that no checkpoint needs is an error: who wrote it wanted something to be run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

MOST_DIMENSIONS = 16
MOST_ARGUMENTS = 8
"""Of a function that makes a tensor. One long tuple may be the argument of many calls: its length comes first."""

LEFT_OUT = object()
"""Stands for what a pickle holds beside tensors and plain values."""

STORAGES = {
    f"torch.{name}Storage": dtype
    for name, dtype in {
        "Double": torch.float64,
        "Float": torch.float32,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
} | {"torch.storage.UntypedStorage": torch.uint8}
_NUMBERS = {
    f"torch.{name}": getattr(torch, name)
    for name in ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "uint8")
}
_DICTS = {"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict"}
_REBUILDS = {f"torch._utils._rebuild_{what}" for what in ("tensor", "tensor_v2", "tensor_v3")}
_WRAPPERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch.Size"}
_PASSED_OVER = (
    "argparse.Namespace",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.frozenset",
    "builtins.set",
    "_codecs.encode",
    "collections.deque",
    "lightning.",
    "lightning_fabric.",
    "numpy.",
    "omegaconf.",
    "pathlib.",
    "pytorch_lightning.",
    "torch.device",
    "torch.dtype",
    "torch.torch_version.TorchVersion",
    "typing.",
)
"""What trainers keep beside a network. A dot at the end stands for a whole package."""


class UnreadablePickle(ValueError):
    """No pickle, a damaged one, or one that does more than a checkpoint's may; the message completes "it ..."."""


class NamedCode(ValueError):
    """A pickle that names a function or class which no checkpoint needs; the message is that name."""


@dataclass(frozen=True)
class Storage:
    """Numbers that lie elsewhere in the file: ``count`` of them, under ``key``."""

    key: str
    dtype: torch.dtype
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a view of a `Storage`; ``offset`` and ``stride`` in elements of ``dtype``."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle names, as "module.name"."""

    text: str


def known(name: str) -> Name:
    """Return a name that a checkpoint may hold. Raises `NamedCode` for any other."""
    # As Python 2 had it, and as pickles of its protocols still have it.
    name = name.replace("__builtin__.", "builtins.", 1)
    exact = name in STORAGES or name in _NUMBERS or name in _DICTS or name in _REBUILDS or name in _WRAPPERS
    if not exact and not any(name == other or (other[-1] == "." and name.startswith(other)) for other in _PASSED_OVER):
        raise NamedCode(name)
    return Name(name)


def described(called: Any, arguments: Any) -> Any:
    """What a call would give, as far as it is of use here."""
    if not isinstance(called, Name):
        # What was left out may well have been called; a value cannot be.
        if called is LEFT_OUT:
            return LEFT_OUT
        raise UnreadablePickle("is damaged")
    if called.text in _DICTS:
        # Later steps fill it.
        return {}
    if called.text in _REBUILDS:
        return _tensor(called.text, arguments)
    if called.text in _WRAPPERS:
        return arguments[0]
    return LEFT_OUT


def _tensor(how: str, arguments: tuple[Any, ...]) -> StoredTensor:
    if len(arguments) > MOST_ARGUMENTS:
        raise UnreadablePickle("is damaged")
    storage, offset, shape, stride, *more = arguments
    if not isinstance(storage, Storage):
        raise UnreadablePickle("holds a tensor without numbers")
    dtype = _NUMBERS[more[2].text] if how.endswith("_v3") else storage.dtype
    if not len(shape) == len(stride) <= MOST_DIMENSIONS:
        raise UnreadablePickle("holds a tensor of an impossible shape")
    numbers = (offset, *shape, *stride)
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
        raise UnreadablePickle("holds a tensor of an impossible shape")
    return StoredTensor(storage, dtype, offset, tuple(shape), tuple(stride))
