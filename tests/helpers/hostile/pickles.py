"""Pickles that would run code, name impossible tensors, or hang and swell whoever unpickles them.

Each is tried zipped, as torch writes files today, and as the fourth pickle of torch's older form.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .case import RIGHT, Case, Weights, put, zip_bytes

SPRUNG = "sprung"
"""The folder that every trap makes beside the file that it is in, if it is ever run."""

END = b"."


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.called = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.called


class Numbers:
    """Pickles as a storage that lies elsewhere in the file."""

    def __init__(self, count: Any, key: Any = "0"):
        self.id = ("storage", torch.HalfStorage, key, "cpu", count)


class Placed:
    """Pickles as a tensor of a storage."""

    def __init__(self, numbers: Any, offset: Any, shape: Any, stride: Any):
        self.called = torch._utils._rebuild_tensor_v2, (numbers, offset, shape, stride, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return self.called


class _Pickler(pickle.Pickler):
    def persistent_id(self, found: Any) -> Any:
        return found.id if isinstance(found, Numbers) else None


def pickled(content: Any, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol).dump(content)
    return stream.getvalue()


def zipped(content: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """Put an archive as torch writes them around a pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("m/data.pkl", content)
        archive.writestr("m/byteorder", "little")
        for key, numbers in (storages or {}).items():
            archive.writestr(f"m/data/{key}", numbers)
        archive.writestr("m/version", "3\n")
    return stream.getvalue()


def older(content: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """Put the pickles of torch's older form around one."""
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickled(0x1950A86A20F9469CFC6C), pickled(1001), pickled(machine), content, pickled(list(storages or {}))]
    parts += [struct.pack("<q", len(numbers) // 2) + numbers for numbers in (storages or {}).values()]
    return b"".join(parts)


def traps(folder: Path) -> dict[str, bytes]:
    """Pickles that make the folder `SPRUNG`, each in a way of its own, by what they name."""
    target = str(folder / SPRUNG)
    code = f"__import__('os').mkdir({target!r})"
    name = target.encode()
    return {
        "os.mkdir": pickled({"a": Call(os.mkdir, target)}),
        "os.system": pickled({"a": Call(os.system, f"mkdir '{target}'")}),
        "builtins.eval": pickled({"a": Call(eval, code)}),
        "builtins.exec": pickled({"a": Call(exec, code)}, 4),
        "builtins.getattr": b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x02os\x8c\x05mkdir\x86R.",
        "posix.mkdir by its own name": b"\x80\x04\x8c\x05posix\x8c\x05mkdir\x93\x8c"
        + bytes([len(name)])
        + name
        + b"\x85R.",
        "os.mkdir as an instance": b"(S'" + name + b"'\nios\nmkdir\n.",
        "os.mkdir as an object": b"(cos\nmkdir\nS'" + name + b"'\no.",
        "torch.load": pickled({"a": Call(torch.load, target)}),
        "torch.hub.load": b"\x80\x02ctorch.hub\nload\nX\x01\x00\x00\x00a\x85R.",
        "a module": pickled({"model": torch.nn.Linear(2, 2)}),
        "an attribute of torch": b"\x80\x04\x8c\x0etorch.storage.x\x8c\x10UntypedStorage.y\x93.",
        "a file opened": pickled({"a": Call(open, target, "w")}),
        "an extension": b"\x80\x02\x82\x01.",
    }


def _itself() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found.update((f"n{number}", found) for number in range(200))
    return found


def _shared(kind: type, levels: int, width: int = 2) -> Any:
    found: Any = kind([1.5])
    for _ in range(levels):
        found = kind([found] * width)
    return found


def _shared_dicts(levels: int, width: int) -> dict[str, Any]:
    found: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        found = {f"n{number}": found for number in range(width)}
    return found


def exhausting() -> dict[str, bytes]:
    """Pickles that cost far more than their size where they are unpickled, or walked through, without a bound."""
    key = pickled(_shared(tuple, 40))[:-1]
    lists = pickled(_shared(list, 40))[2:-1]
    dicts = b"ccollections\nOrderedDict\nh\x00\x85R0"
    tensor = pickled(Placed(Numbers(32), 0, (32,), (1,)))[2:-1]
    named = b"".join(b"K%c" % number + tensor for number in range(256))
    shapes = b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00h\x00h\x00tR0"
    return {
        "a dict that holds itself 200 times": pickled(_itself()),
        "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
        "forty levels of shared lists": pickled({"a": _shared(list, 40)}),
        "forty levels of shared dicts": pickled(_shared_dicts(40, 2)),
        "four levels of a thousand dicts": pickled(_shared_dicts(4, 1000)),
        "a key of forty shared tuples": b"\x80\x02}" + key[2:] + b"K\x01s.",
        "a set of forty shared tuples": b"\x80\x04\x8f(" + key[2:] + b"\x90.",
        "a frozen set of forty shared tuples": b"\x80\x04(" + key[2:] + b"\x91.",
        "a million steps": b"\x80\x02" + b"K\x010" * 500_000 + b"}.",
        "a hundred thousand lists in each other": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "a storage of forty shared lists": b"\x80\x02(X\x07\x00\x00\x00storagectorch\nHalfStorage\n"
        + lists
        + b"NK\x01tQ.",
        "a name of forty shared lists": b"\x80\x04" + lists + lists + b"\x93.",
        "a long list made a dict over and over": b"\x80\x02]q\x00("
        + b"K\x01K\x02\x86" * 50_000
        + b"e"
        + dicts * 25_000
        + b"}.",
        "a long shape used over and over": b"\x80\x02(" + b"K\x01" * 100_000 + b"tq\x000" + shapes * 20_000 + b"}.",
        "a name of ten megabytes above many": b"\x80\x02}X"
        + struct.pack("<I", 10 << 20)
        + b"a" * (10 << 20)
        + b"}("
        + named
        + b"us.",
        "a key of 600 digits": b"\x80\x02}\x8a\xff" + b"\x01" * 255 + b"}s.",
        "a memo of 2**31": b"\x80\x02}r\xff\xff\xff\x7f.",
        "text of 2**60 letters": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"a.",
        "bytes of 2**31": b"\x80\x02B\xff\xff\xff\x7fa.",
        "a number of 2**31 bytes": b"\x80\x02\x8b\xff\xff\xff\x7fa.",
        "a number of 5,000 digits": b"\x80\x02L" + b"9" * 5000 + b"L\n.",
    }


BROKEN: dict[str, bytes] = {
    "an empty stack": b"\x80\x02.",
    "a step too few": b"\x80\x02s.",
    "no end": b"\x80\x02}",
    "an unknown step": b"\x80\x02\xfe.",
    "a mark too few": b"\x80\x02t.",
    "a memo without a value": b"\x80\x02h\x07.",
    "an unknown protocol": b"\x80\x7f}.",
    "a persistent name": b"\x80\x02Pabc\n.",
    "a call of a number": b"\x80\x02K\x01)R.",
    "text that is no UTF-8": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "nothing": b"",
    "a tensor without numbers": b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v3\n"
    b"(K\x07K\x00K\x20\x85K\x01\x85\x89Nctorch\nfloat16\ntRs.",
}
TOPS = {
    "a list": [1],
    "a number": 7,
    "text": "a",
    "nothing": None,
    "an empty dict": {},
    "names alone": {"conv_in.weight": "a"},
}


def impossible() -> dict[str, tuple[Any, dict[str, bytes]]]:
    """Tensors that their file cannot hold: what is pickled, and the storages beside it."""
    numbers, stored = Numbers(32), {"0": bytes(64)}
    return {
        "more numbers than stored": (Placed(Numbers(1 << 20), 0, (1 << 20,), (1,)), stored),
        "2**40 numbers": (Placed(Numbers(1 << 40), 0, (1 << 40,), (1,)), stored),
        "fewer numbers than stored": (Placed(Numbers(16), 0, (16,), (1,)), stored),
        "minus 32 numbers": (Placed(Numbers(-32), 0, (32,), (1,)), stored),
        "text as the count": (Placed(Numbers("32"), 0, (32,), (1,)), stored),
        "an offset beyond its storage": (Placed(numbers, 1, (32,), (1,)), stored),
        "a negative offset": (Placed(numbers, -1, (32,), (1,)), stored),
        "a stride beyond its storage": (Placed(numbers, 0, (32,), (2,)), stored),
        "a negative stride": (Placed(numbers, 31, (32,), (-1,)), stored),
        "a stride of 2**61": (Placed(numbers, 0, (32,), (1 << 61,)), stored),
        "a negative shape": (Placed(numbers, 0, (-32,), (1,)), stored),
        "a shape of 2**62": (Placed(numbers, 0, (1 << 62, 4), (0, 0)), stored),
        "more strides than sides": (Placed(numbers, 0, (32,), (1, 1)), stored),
        "a thousand sides": (Placed(numbers, 0, (1,) * 1000, (1,) * 1000), stored),
        "one number repeated 2**40 times": (Placed(numbers, 0, (1 << 40,), (0,)), stored),
        "a storage that is not there": (Placed(Numbers(32, "7"), 0, (32,), (1,)), stored),
        "a storage that leads elsewhere": (Placed(Numbers(32, "../../../etc/passwd"), 0, (32,), (1,)), stored),
        "no storage": (Placed(7, 0, (32,), (1,)), stored),
        "one storage of two sizes": ([Placed(numbers, 0, (32,), (1,)), Placed(Numbers(16), 0, (16,), (1,))], stored),
    }


def cases() -> Iterator[Case]:
    for file, form in (("m.bin", zipped), ("m.pth", older)):
        for name in traps(Path()):
            yield _case("code in a pickle", name, file, lambda folder, name=name, form=form: form(traps(folder)[name]))
        for kind, contents in (("endless pickle", exhausting()), ("broken pickle", BROKEN)):
            for name, content in contents.items():
                yield _case(kind, name, file, lambda _, content=content, form=form: form(content))
        for name, (tensor, stored) in impossible().items():
            content = form(pickled({"conv_in.bias": tensor}), stored)
            yield _case("impossible tensor", name, file, lambda _, content=content: content)
        for name, top in TOPS.items():
            yield _case("another network", name, file, lambda _, top=top, form=form: form(pickled(top)))
    for name in ("os.mkdir", "os.system", "builtins.exec"):
        yield _case("code in a pickle", "bare " + name, "m.pt", lambda folder, name=name: traps(folder)[name])
    keys = older(pickled({}))[: -len(pickled([]))] + pickled([_shared(list, 40)])
    yield _case("endless pickle", "keys of forty shared lists", "m.pth", lambda _: keys)
    yield Case("code in a pickle", "beside a sound network", _beside)
    yield Case("sound", "a trainer's own classes", _trainer, RIGHT)
    yield Case("sound", "a network that holds itself", _cyclic, RIGHT)
    yield Case("impossible tensor", "a network of one number a tensor", _repeated)


def _case(kind: str, name: str, file: str, content: Callable[[Path], bytes]) -> Case:
    return Case(kind, f"{name}, {file}", lambda folder, _: put(folder / file, content(folder)))


def _beside(folder: Path, weights: Weights) -> Path:
    trap = Call(os.mkdir, str(folder / SPRUNG))
    return put(folder / "m.ckpt", zip_bytes({"state_dict": weights, "callbacks": trap}))


def _trainer(folder: Path, weights: Weights) -> Path:
    """What Lightning and its like keep: classes that may not be installed here, sets, paths, numbers of NumPy's."""
    beside = pickled({"a": 1})[2:-1]
    classes = b"cpytorch_lightning.callbacks\nModelCheckpoint\n)R" + b"comegaconf\nDictConfig\n)\x81}b" + beside
    content = zip_bytes({"hyper_parameters": {"path": Path("a"), "sets": {1, 2}, "rate": np.float64(1)}, **weights})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickle_name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        parts = {name: archive.read(name) for name in archive.namelist()}
    # Three values more on the stack, then taken away again, before the dict that torch wrote.
    parts[pickle_name] = parts[pickle_name][:2] + classes + b"000" + parts[pickle_name][2:]
    with zipfile.ZipFile(folder / "m.ckpt", "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return folder / "m.ckpt"


def _cyclic(folder: Path, weights: Weights) -> Path:
    raw: dict[str, Any] = {"state_dict": dict(weights)}
    raw["state_dict"]["above"] = raw
    return put(folder / "m.ckpt", zip_bytes(raw))


def _repeated(folder: Path, weights: Weights) -> Path:
    wide = {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in weights.items()}
    wide["conv_in.weight"] = torch.zeros(()).expand(16_000, 9, 1, 3, 3)
    wide["time_embedding.linear_1.weight"] = torch.zeros(()).expand(16_000, 16_000)
    return put(folder / "m.bin", zip_bytes(wide))
