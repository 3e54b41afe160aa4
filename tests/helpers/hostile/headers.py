"""Safetensors files whose header lies, or is made to exhaust who reads it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .case import RIGHT, Case, Weights, header_of, put, safetensors_bytes, with_header

KIND = "safetensors header"
NAME = "conv_in.bias"
"""The tensor whose entry is changed: 32 numbers, 64 bytes."""

ENTRIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "offsets beyond the end": lambda e: {**e, "data_offsets": [e["data_offsets"][0], 1 << 40]},
    "offsets that overlap": lambda e: {**e, "data_offsets": [n - 64 for n in e["data_offsets"]]},
    "offsets of the beginning": lambda e: {**e, "data_offsets": [0, 64]},
    "offsets the wrong way round": lambda e: {**e, "data_offsets": e["data_offsets"][::-1]},
    "negative offsets": lambda e: {**e, "data_offsets": [-64, 0]},
    "offsets of text": lambda e: {**e, "data_offsets": ["0", "64"]},
    "offsets of nothing": lambda e: {**e, "data_offsets": [None, None]},
    "broken offsets": lambda e: {**e, "data_offsets": [0.5, 64.5]},
    "true as an offset": lambda e: {**e, "data_offsets": [True, 65]},
    "three offsets": lambda e: {**e, "data_offsets": [*e["data_offsets"], 0]},
    "one offset": lambda e: {**e, "data_offsets": 7},
    "offsets beyond 64 bits": lambda e: {**e, "data_offsets": [1 << 70, (1 << 70) + 64]},
    "no offsets": lambda e: {"dtype": e["dtype"], "shape": e["shape"]},
    "a larger shape": lambda e: {**e, "shape": [64]},
    "a shape of 2**40": lambda e: {**e, "shape": [1 << 40]},
    "a shape beyond 64 bits": lambda e: {**e, "shape": [1 << 63, 1 << 63]},
    "a negative shape": lambda e: {**e, "shape": [-32]},
    "two negative sides": lambda e: {**e, "shape": [-4, -8]},
    "a shape of text": lambda e: {**e, "shape": "32"},
    "no shape": lambda e: {**e, "shape": None},
    "a hundred thousand dimensions": lambda e: {**e, "shape": [32] + [1] * 100_000},
    "an unknown dtype": lambda e: {**e, "dtype": "F4"},
    "a number as dtype": lambda e: {**e, "dtype": 16},
    "a list as dtype": lambda e: {**e, "dtype": ["F16"]},
    "another dtype": lambda e: {**e, "dtype": "F32"},
    "whole numbers": lambda e: {**e, "dtype": "I16"},
    "an entry that is a list": lambda e: [e],
    "an entry that is nothing": lambda e: None,
    "an entry that is text": lambda e: "F16",
    "an empty entry": lambda e: {},
}
METADATA: dict[str, Any] = {
    "metadata that is a list": ["a"],
    "metadata of numbers": {"attention_heads": 8},
    "metadata within metadata": {"a": {"b": "c"}},
}
WHOLE: dict[str, bytes] = {
    "lists nested 50,000 deep": b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "objects nested 50,000 deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "lists without an end": b'{"a":' + b"[" * 1_000_000,
    "bytes that are no UTF-8": b'{"\xff\xfe": 1}',
    "a number of 5,000 digits": b'{"a": {"dtype": "F16", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 2]}}',
    "NaN": b'{"a": {"dtype": "F16", "shape": [NaN], "data_offsets": [0, Infinity]}}',
    "text after it": b'{} {"a": 1}',
    "nothing in it": b"{}",
    "metadata alone": b'{"__metadata__": {"format": "m3ddm"}}',
    "half an object": b'{"a": {"dtype"',
}


def cases() -> Iterator[Case]:
    for name, change in ENTRIES.items():
        yield Case(KIND, name, lambda *a, change=change: _changed(*a, lambda h: {**h, NAME: change(h[NAME])}))
    for name, value in METADATA.items():
        yield Case(KIND, name, lambda *a, value=value: _changed(*a, lambda h: {**h, "__metadata__": value}))
    for name, header in WHOLE.items():
        yield Case(KIND, name, lambda f, _, header=header: put(f / "m.safetensors", with_header(header, b"")))
    yield Case(KIND, "a gap", _gap)
    yield Case(KIND, "one place named twice", _twice)
    yield Case(KIND, "spaces after it", _padded, RIGHT)
    yield Case(KIND, "names with escape sequences", lambda *a: _added(*a, "\x1b[2J\x1b]0;owned\x07\r\n"))
    yield Case(KIND, "half a pair in a name", lambda *a: _added(*a, "\ud800"))
    yield Case(KIND, "a name of two megabytes", lambda *a: _added(*a, "a" * 2_000_000))
    yield Case(KIND, "a million empty tensors", _million)
    yield Case(KIND, "seventy thousand empty tensors", lambda f, _: _empty(f, 70_000))
    yield Case(KIND, "empty sides of 2**60", lambda *a: _added(*a, "x", [0, 1 << 60, 1 << 60]))
    yield Case(KIND, "a length of 2 GB in a file that has them", _sparse)
    yield Case(
        KIND, "20 MB of spaces", lambda f, _: put(f / "m.safetensors", with_header(b"{" + b" " * 20_000_000, b""))
    )


def _changed(folder: Path, weights: Weights, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    header, tensors = header_of(safetensors_bytes(weights))
    return put(folder / "m.safetensors", with_header(change(header), tensors))


def _added(folder: Path, weights: Weights, name: str, shape: list[int] | None = None) -> Path:
    end = len(header_of(safetensors_bytes(weights))[1])
    entry = {"dtype": "F16", "shape": shape or [0], "data_offsets": [end, end]}
    return _changed(folder, weights, lambda header: {**header, name: entry})


def _gap(folder: Path, weights: Weights) -> Path:
    header, tensors = header_of(safetensors_bytes(weights))
    last = max((name for name in header if name != "__metadata__"), key=lambda n: header[n]["data_offsets"])
    header[last]["data_offsets"] = [offset + 2 for offset in header[last]["data_offsets"]]
    return put(folder / "m.safetensors", with_header(header, tensors + bytes(2)))


def _twice(folder: Path, weights: Weights) -> Path:
    return _changed(folder, weights, lambda header: {**header, "x": header[NAME]})


def _padded(folder: Path, weights: Weights) -> Path:
    header, tensors = header_of(safetensors_bytes(weights))
    return put(folder / "m.safetensors", with_header(json.dumps(header).encode() + b" " * 4096, tensors))


def _empty(folder: Path, count: int) -> Path:
    entry = '{"dtype":"F16","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(f'"{number}":{entry}' for number in range(count)) + "}"
    return put(folder / "m.safetensors", with_header(header.encode(), b""))


def _million(folder: Path, _: Weights) -> Path:
    return _empty(folder, 1_000_000)


def _sparse(folder: Path, _: Weights) -> Path:
    path = put(folder / "m.safetensors", struct.pack("<Q", 2_000_000_000) + b"{")
    os.truncate(path, 2_000_000_100)
    return path
