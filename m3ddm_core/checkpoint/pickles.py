"""What a pickle describes, followed step by step and never run: nothing that it names is imported, made or called.

Python's own unpickler does what the file says. This one keeps dicts, lists, texts, numbers and the whereabouts of
tensors, and puts `LEFT_OUT` in place of every object. So a file can neither run code nor hang by keys that take for
ever to hash. The steps are those of the standard library's ``pickletools``.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

MOST_STEPS = 1_000_000
"""The published network takes some 45,000; with averages and an optimizer's two moments, four times that."""

LEFT_OUT = object()
"""Stands for what a pickle holds beside tensors and plain values."""

_STORAGES = {
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
class _Name:
    """A function or class that a pickle names, as "module.name"."""

    text: str


def follow(pickle: BinaryIO, storages: dict[str, Storage] | None = None) -> Any:
    """Return what a pickle describes: nested dicts and lists of plain values, `StoredTensor` and `LEFT_OUT`.

    The stream is left at the pickle's end; ``storages`` gets every storage that the pickle names. A dict or list may
    hold itself. Raises `NamedCode` where the pickle names what no checkpoint needs, and `UnreadablePickle` for
    everything else that is wrong with it.
    """
    machine = _Machine({} if storages is None else storages)
    try:
        for count, (step, argument, _) in enumerate(pickletools.genops(pickle)):
            if count >= MOST_STEPS:
                raise UnreadablePickle(f"takes more than {MOST_STEPS:,} steps")
            if step.name == "STOP":
                return machine.stack.pop()
            machine.take(step.name, argument)
    except (UnreadablePickle, NamedCode):
        raise
    # Of a damaged pickle any step may find on the stack what it cannot work with.
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadablePickle("is damaged") from error
    raise UnreadablePickle("has no end")


class _Machine:
    """The stack that pickles work on, with plain values alone on it."""

    def __init__(self, storages: dict[str, Storage]):
        self.storages = storages
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def take(self, step: str, argument: Any) -> None:
        if step in _LITERALS:
            self.stack.append(argument)
        elif step in _FRESH:
            self.stack.append(_FRESH[step]())
        elif step in _STEPS:
            _STEPS[step](self, argument)
        elif step not in _WITHOUT_EFFECT:
            raise UnreadablePickle(f"holds the step {step}, which no checkpoint needs")

    def pop_marked(self) -> list[Any]:
        start = self.marks.pop()
        if start > len(self.stack):
            raise UnreadablePickle("is damaged")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self.memo[number])

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def pop(self, _: Any) -> None:
        # A mark may be all that is left to take away.
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def pop_mark(self, _: Any) -> None:
        self.pop_marked()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def tuple_of(self, size: int | None) -> None:
        items = self.pop_marked() if size is None else self.stack[-size:]
        if size is not None:
            if len(items) < size:
                raise UnreadablePickle("is damaged")
            del self.stack[-size:]
        self.stack.append(tuple(items))

    def list_of(self, _: Any) -> None:
        self.stack.append(self.pop_marked())

    def dict_of(self, _: Any) -> None:
        items = self.pop_marked()
        self.stack.append({})
        self._set(items)

    def append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self.pop_marked())

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def set_items(self, _: Any) -> None:
        self._set(self.pop_marked())

    def leave_out_marked(self, _: Any) -> None:
        self.pop_marked()
        self.stack.append(LEFT_OUT)

    def name(self, text: str) -> None:
        # ``pickletools`` gives module and name with a space in between.
        self.stack.append(_known(text.replace(" ", ".", 1)))

    def name_of_two(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known(f"{module}.{name}"))

    def reduce(self, _: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_described(called, arguments))

    def reduce_with_names(self, _: Any) -> None:
        self.stack.pop()
        self.reduce(None)

    def instance(self, text: str) -> None:
        arguments = self.pop_marked()
        self.stack.append(_described(_known(text.replace(" ", ".", 1)), tuple(arguments)))

    def object_of(self, _: Any) -> None:
        called, *arguments = self.pop_marked()
        self.stack.append(_described(called, tuple(arguments)))

    def build(self, _: Any) -> None:
        # An object's attributes: nothing that is kept has any.
        self.stack.pop()

    def storage(self, _: Any) -> None:
        kind, of, key, _place, count, *view = self.stack.pop()
        if kind != "storage" or not isinstance(of, _Name) or of.text not in _STORAGES or any(view):
            raise UnreadablePickle("holds tensors in a form that is not known")
        if type(count) is not int or count < 0:
            raise UnreadablePickle("is damaged")
        storage = Storage(str(key), _STORAGES[of.text], count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise UnreadablePickle("gives one storage two sizes")
        self.stack.append(storage)

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        found = self.stack[-1]
        if isinstance(found, dict):
            # Only plain keys: a tuple of tuples can take for ever to hash.
            pairs = zip(items[::2], items[1::2], strict=True)
            found.update((key, value) for key, value in pairs if isinstance(key, str | int))


def _known(name: str) -> _Name:
    # As Python 2 had it, and as pickles of its protocols still have it.
    name = name.replace("__builtin__.", "builtins.", 1)
    exact = name in _STORAGES or name in _NUMBERS or name in _DICTS or name in _REBUILDS or name in _WRAPPERS
    if not exact and not any(name == other or (other[-1] == "." and name.startswith(other)) for other in _PASSED_OVER):
        raise NamedCode(name)
    return _Name(name)


def _described(called: Any, arguments: Any) -> Any:
    """What a call would give, as far as it is of use here."""
    if not isinstance(called, _Name):
        # What was left out may well have been called; a value cannot be.
        if called is LEFT_OUT:
            return LEFT_OUT
        raise UnreadablePickle("is damaged")
    if called.text in _DICTS:
        return _pairs(arguments)
    if called.text in _REBUILDS:
        return _tensor(called.text, arguments)
    if called.text in _WRAPPERS:
        return arguments[0]
    return LEFT_OUT


def _pairs(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """An ordered dict, filled by later steps or, as Python 2 did, by pairs; a defaultdict names its default first."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str | int)}


def _tensor(how: str, arguments: tuple[Any, ...]) -> StoredTensor:
    storage, offset, shape, stride, *more = arguments
    dtype = storage.dtype
    if how.endswith("_v3"):
        dtype = _NUMBERS[more[2].text]
    numbers = (offset, *shape, *stride)
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers) or len(shape) != len(stride):
        raise UnreadablePickle("holds a tensor of an impossible shape")
    return StoredTensor(storage, dtype, offset, tuple(shape), tuple(stride))


_LITERALS = {
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG",
    "LONG1",
    "LONG4",
    "FLOAT",
    "BINFLOAT",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
}
_WITHOUT_EFFECT:
            raise UnreadablePickle(f"holds the step {step}, which no checkpoint needs")

    def pop_marked(self) -> list[Any]:
        start = self.marks.pop()
        if start > len(self.stack):
            raise UnreadablePickle("is damaged")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self.memo[number])

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def pop(self, _: Any) -> None:
        # A mark may be all that is left to take away.
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def pop_mark(self, _: Any) -> None:
        self.pop_marked()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def tuple_of(self, size: int | None) -> None:
        items = self.pop_marked() if size is None else self.stack[-size:]
        if size is not None:
            if len(items) < size:
                raise UnreadablePickle("is damaged")
            del self.stack[-size:]
        self.stack.append(tuple(items))

    def list_of(self, _: Any) -> None:
        self.stack.append(self.pop_marked())

    def dict_of(self, _: Any) -> None:
        items = self.pop_marked()
        self.stack.append({})
        self._set(items)

    def append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self.pop_marked())

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def set_items(self, _: Any) -> None:
        self._set(self.pop_marked())

    def leave_out_marked(self, _: Any) -> None:
        self.pop_marked()
        self.stack.append(LEFT_OUT)

    def name(self, text: str) -> None:
        # ``pickletools`` gives module and name with a space in between.
        self.stack.append(_known(text.replace(" ", ".", 1)))

    def name_of_two(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known(f"{module}.{name}"))

    def reduce(self, _: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_described(called, arguments))

    def reduce_with_names(self, _: Any) -> None:
        self.stack.pop()
        self.reduce(None)

    def instance(self, text: str) -> None:
        arguments = self.pop_marked()
        self.stack.append(_described(_known(text.replace(" ", ".", 1)), tuple(arguments)))

    def object_of(self, _: Any) -> None:
        called, *arguments = self.pop_marked()
        self.stack.append(_described(called, tuple(arguments)))

    def build(self, _: Any) -> None:
        # An object's attributes: nothing that is kept has any.
        self.stack.pop()

    def storage(self, _: Any) -> None:
        kind, of, key, _place, count, *view = self.stack.pop()
        if kind != "storage" or not isinstance(of, _Name) or of.text not in _STORAGES or any(view):
            raise UnreadablePickle("holds tensors in a form that is not known")
        if type(count) is not int or count < 0:
            raise UnreadablePickle("is damaged")
        storage = Storage(str(key), _STORAGES[of.text], count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise UnreadablePickle("gives one storage two sizes")
        self.stack.append(storage)

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        found = self.stack[-1]
        if isinstance(found, dict):
            # Only plain keys: a tuple of tuples can take for ever to hash.
            pairs = zip(items[::2], items[1::2], strict=True)
            found.update((key, value) for key, value in pairs if isinstance(key, str | int))


def _known(name: str) -> _Name:
    # As Python 2 had it, and as pickles of its protocols still have it.
    name = name.replace("__builtin__.", "builtins.", 1)
    exact = name in _STORAGES or name in _NUMBERS or name in _DICTS or name in _REBUILDS or name in _WRAPPERS
    if not exact and not any(name == other or (other[-1] == "." and name.startswith(other)) for other in _PASSED_OVER):
        raise NamedCode(name)
    return _Name(name)


def _described(called: Any, arguments: Any) -> Any:
    """What a call would give, as far as it is of use here."""
    if not isinstance(called, _Name):
        # What was left out may well have been called; a value cannot be.
        if called is LEFT_OUT:
            return LEFT_OUT
        raise UnreadablePickle("is damaged")
    if called.text in _DICTS:
        return _pairs(arguments)
    if called.text in _REBUILDS:
        return _tensor(called.text, arguments)
    if called.text in _WRAPPERS:
        return arguments[0]
    return LEFT_OUT


def _pairs(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """An ordered dict, filled by later steps or, as Python 2 did, by pairs; a defaultdict names its default first."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str | int)}


def _tensor(how: str, arguments: tuple[Any, ...]) -> StoredTensor:
    storage, offset, shape, stride, *more = arguments
    dtype = storage.dtype
    if how.endswith("_v3"):
        dtype = _NUMBERS[more[2].text]
    numbers = (offset, *shape, *stride)
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers) or len(shape) != len(stride):
        raise UnreadablePickle("holds a tensor of an impossible shape")
    return StoredTensor(storage, dtype, offset, tuple(shape), tuple(stride))


_LITERALS = frozenset(
    ["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"]
)
_WITHOUT_EFFECT = {"PROTO", "FRAME"}
_FRESH: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: LEFT_OUT,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    "TUPLE": lambda machine, _: machine.tuple_of(None),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "LIST": _Machine.list_of,
    "DICT": _Machine.dict_of,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "ADDITEMS": _Machine.pop_mark,
    "FROZENSET": _Machine.leave_out_marked,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_of_two,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.reduce_with_names,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_of,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.storage,
}
