"""One hash of a value and all that is in it, the same in every process.

Two values have one digest only if they are alike through and through. What cannot be told apart with certainty, such as
an object whose contents Python does not show, is refused, never guessed.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import types
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor

MOST_VALUES = 500_000
"""A value with more in it than this is more than the settings and patches of a network."""
_PLAIN = (type(None), type(...), bool, int, float, complex, str, torch.dtype, torch.device, torch.Size)
_SEQUENCES = (list, tuple)
_SETS = (set, frozenset)
_MAPPINGS = (dict, OrderedDict, types.MappingProxyType)


class Unidentified(ValueError):
    """Something decides the latents of a clip that cannot be told from other things of its kind."""


def digest(value: Any) -> str:
    """Return the SHA-256, in hexadecimal, of plain values, containers, tensors, functions and objects of Python.

    Tensors count by dtype, shape and bytes, wherever they are; functions by their code, defaults and what they enclose;
    objects by class and attributes. Raises `Unidentified` for anything else.
    """
    walk = _Walk()
    walk.feed(value)
    return walk.hash.hexdigest()


class _Walk:
    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        # The values themselves are kept too: an address says which value it is only as long as that lives.
        self.seen: dict[int, tuple[int, Any]] = {}
        self.count = 0

    def feed(self, value: Any) -> None:
        self.count += 1
        if self.count > MOST_VALUES:
            raise Unidentified(f"there is more in it than {MOST_VALUES:,} values")
        kind = type(value)
        if kind in _PLAIN:
            self._write(kind.__name__, repr(value).encode())
        elif kind is bytes:
            self._write("bytes", value)
        elif isinstance(value, enum.Enum):
            self._write("enum", f"{_name(kind)}.{value.name}".encode())
        elif isinstance(value, PurePath):
            self._write("path", str(value).encode())
        elif id(value) in self.seen:
            self._write("again", str(self.seen[id(value)][0]).encode())
        else:
            self.seen[id(value)] = len(self.seen), value
            self._feed_whole(kind, value)

    def _feed_whole(self, kind: type, value: Any) -> None:
        """Feed what may hold other values, or be held by them."""
        if isinstance(value, Tensor):
            self._feed_tensor(kind, value)
        elif kind in _MAPPINGS:
            self._feed_all(kind.__name__, [part for item in value.items() for part in item])
        elif kind in _SEQUENCES:
            self._feed_all(kind.__name__, value)
        elif kind is slice:
            self._feed_all("slice", [value.start, value.stop, value.step])
        elif kind in _SETS:
            # Their order differs from process to process.
            self._feed_all(kind.__name__, sorted(digest(part) for part in value))
        elif isinstance(value, (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)):
            self._feed_callable(value)
        elif isinstance(value, type):
            self._write("class", _name(value).encode())
        elif isinstance(value, types.ModuleType):
            self._write("module", value.__name__.encode())
        elif _is_of_python(kind):
            self._feed_all("object", [*(_name(base) for base in kind.__mro__), vars(value)])
        else:
            raise Unidentified(f"{_name(kind)} does not show what is in it")

    def _feed_tensor(self, kind: type, tensor: Tensor) -> None:
        if kind not in (Tensor, torch.nn.Parameter) or tensor.layout is not torch.strided or tensor.is_meta:
            raise Unidentified(f"a tensor of kind {_name(kind)} does not show what is in it")
        whole = tensor.detach().cpu().contiguous()
        self._write("tensor", f"{whole.dtype} {tuple(whole.shape)}".encode())
        self._write("values", memoryview(whole.reshape(-1).view(torch.uint8).numpy()))

    def _feed_callable(self, value: Any) -> None:
        if isinstance(value, functools.partial):
            self._feed_all("partial", [value.func, value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            self._feed_all("method", [value.__func__, value.__self__])
        elif isinstance(value, types.BuiltinFunctionType):
            if not isinstance(value.__self__, (types.ModuleType, type(None))):
                raise Unidentified(f"{value.__qualname__} does not show what it belongs to")
            self._write("builtin", f"{value.__module__}.{value.__qualname__}".encode())
        else:
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            parts = [value.__module__, value.__qualname__, value.__defaults__, value.__kwdefaults__, cells]
            self._feed_all("function", [*parts, *_code(value.__code__), vars(value)])

    def _feed_all(self, kind: str, parts: Iterable[Any]) -> None:
        parts = list(parts)
        self._write(kind, str(len(parts)).encode())
        for part in parts:
            self.feed(part)

    def _write(self, kind: str, payload: bytes | memoryview) -> None:
        """Lengths are written too, so that no two values run into the same bytes."""
        self.hash.update(f"{kind} {len(payload)}:".encode())
        self.hash.update(payload)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _code(code: types.CodeType) -> list[Any]:
    """What a function does, without where it stands in its file."""
    constants = [_code(part) if isinstance(part, types.CodeType) else part for part in code.co_consts]
    return [code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_flags]


class _Bare:
    """As small as an object of Python can be."""


def _is_of_python(kind: type) -> bool:
    """True where all that an object of the class holds is in its ``vars``: it has no room for anything else."""
    slots = any(getattr(base, "__slots__", ()) for base in kind.__mro__)
    return kind.__dictoffset__ != 0 and not slots and kind.__basicsize__ <= _Bare.__basicsize__
