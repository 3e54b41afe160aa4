"""Folders in diffusers form whose config.json or index is not what it should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .case import RIGHT, Case, Weights, put, safetensors_bytes, zip_bytes

KIND = "folder"
WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG = {"in_channels": 9, "out_channels": 4, "block_out_channels": [32, 32], "layers_per_block": 1}

DEEP = b"[" * 50_000 + b"]" * 50_000
LESS_DEEP = b"[" * 900 + b"]" * 900
CONFIGS: dict[str, bytes] = {
    "lists nested 50,000 deep": b'{"a":' + DEEP + b"}",
    "objects nested 50,000 deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "widths nested 900 deep": b'{"block_out_channels": ' + LESS_DEEP + b"}",
    "heads nested 900 deep": b'{"attention_head_dim": ' + LESS_DEEP + b"}",
    "a list": b"[]",
    "nothing": b"null",
    "text": b"not json",
    "empty": b"",
    "bytes that are no UTF-8": b"\xff\xfe\x00",
    "20 MB of spaces": b" " * 20_000_000,
    "other widths": json.dumps({"block_out_channels": [320, 640]}).encode(),
    "widths as text": json.dumps({"block_out_channels": "32, 32"}).encode(),
    "another number of layers": json.dumps({"layers_per_block": 2}).encode(),
    "heads as a list": json.dumps({"attention_head_dim": [5, 10]}).encode(),
    "heads as an object": json.dumps({"attention_head_dim": {"a": 1}}).encode(),
    "heads of 5,000 digits": b'{"attention_head_dim": ' + b"9" * 5000 + b"}",
    "seven heads": json.dumps({"attention_head_dim": 7}).encode(),
    "no heads": json.dumps({"attention_head_dim": 0}).encode(),
    "an eps of text": json.dumps({"norm_eps": "small"}).encode(),
    "an eps of NaN": b'{"norm_eps": NaN}',
    "prediction as a list": json.dumps({"prediction_type": ["epsilon"]}).encode(),
    "prediction as a long text": json.dumps({"prediction_type": "\x1b[2J" * 100_000}).encode(),
}
INDEXES: dict[str, Any] = {
    "a list": [],
    "nothing": None,
    "text": "a",
    "no map": {"metadata": {}},
    "a map that is a list": {"weight_map": ["a"]},
    "a map of nothing": {"weight_map": None},
    "a map of numbers": {"weight_map": {"a": 1}},
    "a map of text and numbers": {"weight_map": {"a": "b", "c": 1}},
    "a map of lists": {"weight_map": {"a": ["b"]}},
    "a map of objects": {"weight_map": {"a": {"b": "c"}}},
    "an empty map": {"weight_map": {}},
    "a part that is not there": {"weight_map": {"a": "absent.safetensors"}},
    "a part out of the folder": {"weight_map": {"a": "../../../etc/passwd"}},
    "a part that is the folder above": {"weight_map": {"a": ".."}},
    "a part without a name": {"weight_map": {"a": ""}},
    "a part that is this index": {"weight_map": {"a": f"{WEIGHTS}.index.json"}},
    "a part with a zero in its name": {"weight_map": {"a": "a\x00b"}},
    "a part with a name of 5,000 letters": {"weight_map": {"a": "a" * 5000}},
    "five thousand parts": {"weight_map": {str(number): f"{number}.safetensors" for number in range(5000)}},
}


def cases() -> Iterator[Case]:
    yield Case(KIND, "weights beside a config", lambda f, w: _folder(f, w, json.dumps(CONFIG).encode()), RIGHT)
    yield Case(KIND, "a pickle by the other name", lambda f, w: _folder(f, w, b"{}", zip_bytes), RIGHT)
    yield Case(KIND, "two parts", _two_parts, RIGHT)
    for name, config in CONFIGS.items():
        yield Case(KIND, f"config.json: {name}", lambda f, w, config=config: _folder(f, w, config))
    for name, index in INDEXES.items():
        yield Case(KIND, f"index: {name}", lambda f, w, index=index: _with_index(f, json.dumps(index).encode()))
    yield Case(KIND, "index: nested 50,000 deep", lambda f, w: _with_index(f, b'{"weight_map":' + DEEP + b"}"))
    yield Case(KIND, "no config.json", lambda f, w: put(f / WEIGHTS, safetensors_bytes(w)).parent)
    yield Case(KIND, "no weights", lambda f, w: put(f / "config.json", b"{}").parent)
    yield Case(KIND, "config.json is a folder", lambda f, w: _a_folder(f, w, "config.json"))
    yield Case(KIND, "the weights are a folder", lambda f, w: _a_folder(f, {}, WEIGHTS))
    yield Case(KIND, "nothing in it", lambda f, w: f)
    yield Case(KIND, "a part is a list", _list_part)
    yield Case(KIND, "a part is cut short", lambda *a: _two_parts(*a, cut=1000))


def _folder(
    folder: Path, weights: Weights, config: bytes, pack: Callable[[Weights], bytes] = safetensors_bytes
) -> Path:
    put(folder / "config.json", config)
    put(folder / WEIGHTS, pack(weights))
    return folder


def _with_index(folder: Path, index: bytes) -> Path:
    put(folder / "config.json", b"{}")
    put(folder / f"{WEIGHTS}.index.json", index)
    return folder


def _a_folder(folder: Path, weights: Weights, name: str) -> Path:
    if weights:
        put(folder / WEIGHTS, safetensors_bytes(weights))
    else:
        put(folder / "config.json", b"{}")
    (folder / name).mkdir()
    return folder


def _two_parts(folder: Path, weights: Weights, cut: int = 0) -> Path:
    names = list(weights)
    weight_map = {}
    for number, part in enumerate((names[:300], names[300:])):
        content = safetensors_bytes({name: weights[name] for name in part})
        put(folder / f"part-{number}.safetensors", content[: len(content) - number * cut])
        weight_map |= dict.fromkeys(part, f"part-{number}.safetensors")
    return _with_index(folder, json.dumps({"weight_map": weight_map}).encode())


def _list_part(folder: Path, weights: Weights) -> Path:
    put(folder / "part-0.bin", zip_bytes([1, 2]))
    put(folder / "part-1.safetensors", safetensors_bytes(weights))
    return _with_index(folder, json.dumps({"weight_map": {"a": "part-0.bin", "b": "part-1.safetensors"}}).encode())
