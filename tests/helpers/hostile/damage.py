"""Sound files, and what downloads and disks make of them: cut short, gone on with, bits flipped."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

from .case import CONTAINERS, EITHER, RIGHT, TOLD, Case, Weights, put

CUTS = (0, 1, 4, 7, 8, 9, 100, 1000, 0.25, 0.5, 0.75, -100_000, -1000, -8, -1)
FLIPS = 20


def cases() -> Iterator[Case]:
    for name in CONTAINERS:
        yield Case(
            "sound", name, lambda folder, weights, name=name: put(folder / name, CONTAINERS[name](weights)), RIGHT
        )
    for name in CONTAINERS:
        for cut in CUTS:
            yield Case("truncated", f"{name} at {cut}", lambda *a, name=name, cut=cut: _cut(*a, name, cut))
    for name in CONTAINERS:
        for added in (1, 8, 1000):
            # What follows an archive's end is a comment to every program that reads archives.
            outcome = EITHER if name in ("m.bin", "m.ckpt") else TOLD
            yield Case("gone on with", f"{name} by {added}", lambda *a, n=name, b=added: _longer(*a, n, b), outcome)
    for number in range(8):
        write = lambda *a, number=number: _flip(*a, "m.safetensors", 8 * number + 1)  # noqa: E731
        yield Case("bit-flipped", f"m.safetensors, length, bit {8 * number + 1}", write)
    for name, where in (
        ("m.safetensors", "head"),
        ("m.bin", "head"),
        ("m.bin", "end"),
        ("m.bin", "anywhere"),
        ("m.pth", "head"),
    ):
        for seed in range(FLIPS):
            write = lambda *a, name=name, where=where, seed=seed: _flip_some(*a, name, where, seed)  # noqa: E731
            yield Case("bit-flipped", f"{name}, {where}, {seed}", write, EITHER, exact=name != "m.pth")


def _cut(folder: Path, weights: Weights, name: str, cut: float) -> Path:
    content = CONTAINERS[name](weights)
    return put(folder / name, content[: int(cut * len(content)) if isinstance(cut, float) else cut])


def _longer(folder: Path, weights: Weights, name: str, added: int) -> Path:
    return put(folder / name, CONTAINERS[name](weights) + bytes(added))


def _flip(folder: Path, weights: Weights, name: str, bit: int) -> Path:
    content = bytearray(CONTAINERS[name](weights))
    content[bit // 8] ^= 1 << bit % 8
    return put(folder / name, bytes(content))


def _flip_some(folder: Path, weights: Weights, name: str, where: str, seed: int) -> Path:
    content = CONTAINERS[name](weights)
    size = len(content)
    if name == "m.safetensors":
        start, stop = 8, 8 + struct.unpack("<Q", content[:8])[0]
    else:
        start, stop = {"head": (0, 60_000), "end": (size - 60_000, size), "anywhere": (0, size)}[where]
    return _flip(folder, weights, name, random.Random(seed).randrange(8 * start, 8 * stop))
