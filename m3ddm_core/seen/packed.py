"""What was seen around in one tensor, so that it can be kept wherever a tensor can."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, fields, replace

import torch
from safetensors.torch import load, save
from torch import Tensor

from .recipe import SceneReport, Seen

SCENES = "scenes"
QUICK = 1
"""zlib's level: recipes of neighbouring pixels are alike, and the slower levels hardly find more."""


def pack(seen: Seen) -> Tensor:
    """Recipes and reports, (bytes,), uint8; the placement is not in it."""
    reports = json.dumps([asdict(scene) for scene in seen.scenes]).encode()
    content = save({**_tensors(seen), SCENES: _bytes(reports)})
    return _bytes(zlib.compress(content, QUICK))


def unpack(packed: Tensor, like: Seen) -> Seen:
    """What was packed, of as many frames on the same placement as ``like``, of which nothing need be known.

    Raises ValueError for what is of another kind or shape.
    """
    tensors = load(zlib.decompress(packed.numpy().tobytes()))
    reports = json.loads(tensors.pop(SCENES).numpy().tobytes())
    kinds, expected = ({name: (it.shape, it.dtype) for name, it in of.items()} for of in (tensors, _tensors(like)))
    if kinds != expected:
        raise ValueError(f"got recipes with {kinds}, expected {expected}")
    return replace(like, **tensors, scenes=tuple(SceneReport(**report) for report in reports))


def put_part(whole: Seen, part: Seen, first: int) -> None:
    """Write the recipes of a part into those of the whole, from frame ``first`` on."""
    found = _tensors(part)
    for name, tensor in _tensors(whole).items():
        tensor[first : first + len(part)] = found[name]


def _tensors(seen: Seen) -> dict[str, Tensor]:
    """The recipes' tensors by name, each with a row for every frame."""
    given = {field.name: getattr(seen, field.name) for field in fields(seen)}
    return {name: value for name, value in given.items() if isinstance(value, Tensor)}


def _bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
