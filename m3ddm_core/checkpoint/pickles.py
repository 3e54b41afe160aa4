"""What a pickle describes, followed step by step and never run: nothing that it names is imported, made or called.

Python's own unpickler does what the file says. This one keeps dicts, lists, texts, numbers and the whereabouts of
tensors, and puts `LEFT_OUT` in place of every object. So a file can neither run code nor hang by keys that take for
ever to hash. The steps are those of the standard library's ``pickletools``.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from .pickled import LEFT_OUT, STORAGES, Name, NamedCode, Storage, UnreadablePickle, described, known

MOST_STEPS = 500_000
"""The published network takes 48,000; with averages and an optimizer's two moments, four times that."""
LONGEST_KEY = 1000
MOST_PARTS = 6
"""Of what names a storage."""


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
        self.stack.append(known(text.replace(" ", ".", 1)))

    def name_of_two(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        # Lists that share lists can take for ever to be put in words.
        if not isinstance(name, str) or not isinstance(module, str):
            raise UnreadablePickle("is damaged")
        self.stack.append(known(f"{module}.{name}"))

    def reduce(self, _: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(described(called, arguments))

    def reduce_with_names(self, _: Any) -> None:
        self.stack.pop()
        self.reduce(None)

    def instance(self, text: str) -> None:
        arguments = self.pop_marked()
        self.stack.append(described(known(text.replace(" ", ".", 1)), tuple(arguments)))

    def object_of(self, _: Any) -> None:
        called, *arguments = self.pop_marked()
        self.stack.append(described(called, tuple(arguments)))

    def build(self, _: Any) -> None:
        # An object's attributes: nothing that is kept has any.
        self.stack.pop()

    def storage(self, _: Any) -> None:
        found = self.stack.pop()
        if not isinstance(found, tuple) or len(found) > MOST_PARTS:
            raise UnreadablePickle("is damaged")
        kind, of, key, _place, count, *view = found
        if kind != "storage" or not isinstance(of, Name) or of.text not in STORAGES or any(view):
            raise UnreadablePickle("holds tensors in a form that is not known")
        if type(count) is not int or count < 0 or not _is_plain_key(key):
            raise UnreadablePickle("is damaged")
        storage = Storage(str(key), STORAGES[of.text], count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise UnreadablePickle("gives one storage two sizes")
        self.stack.append(storage)

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        found = self.stack[-1]
        if isinstance(found, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            found.update((key, value) for key, value in pairs if _is_plain_key(key))


def _is_plain_key(key: Any) -> bool:
    """Whether a key is short text or a number. A tuple of tuples can take for ever to hash, and a name of megabytes is
    repeated in the names of all that it stands for.
    """
    return len(key) <= LONGEST_KEY if isinstance(key, str) else type(key) is int and abs(key) < 1 << 63


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
