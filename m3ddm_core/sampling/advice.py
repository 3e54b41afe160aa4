"""How a checkpoint is best used: what its own metadata says, and where it says nothing, as the published code does it.

Two entries of a safetensors file's metadata hold it: ``sampling``, a JSON object with any of the names in `ADVISED`,
and ``canvas_size``, the longest side in pixels of the canvas that the network was made for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..canvas.placement import LATENT_SCALE
from .settings import ADVISED, SamplingSettings
from .solvers import SAMPLERS, SCHEDULERS

SAMPLING, CANVAS_SIZE = "sampling", "canvas_size"
REMEDY = "correct the checkpoint's metadata"

_KNOWN = {"sampler": SAMPLERS, "scheduler": SCHEDULERS}


@dataclass(frozen=True)
class Advice:
    """What a checkpoint is best sampled with, and the longest side in pixels of its canvas; the published weights'."""

    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    canvas_size: int = 256

    def metadata(self) -> dict[str, str]:
        """Return the entries that `read_advice` reads back."""
        flat = self.sampling.flat()
        return {
            SAMPLING: json.dumps({name: flat[name] for name in ADVISED}),
            CANVAS_SIZE: str(self.canvas_size),
        }


def read_advice(metadata: Mapping[str, str]) -> Advice:
    """Read the advice in a checkpoint's metadata. Raises `ValueError` for one that cannot be followed."""
    published = Advice()
    canvas = str(metadata.get(CANVAS_SIZE, published.canvas_size))
    if not canvas.isdecimal() or not int(canvas) or int(canvas) % LATENT_SCALE:
        raise ValueError(f"got {CANVAS_SIZE} = {canvas!r}, expected a multiple of {LATENT_SCALE}; {REMEDY}")
    values = _values(str(metadata.get(SAMPLING, "{}")))
    try:
        return Advice(published.sampling.changed(values), int(canvas))
    except ValueError as error:
        raise ValueError(f"{error}; {REMEDY}") from None


def _values(text: str) -> dict[str, Any]:
    """Read the settings, checked name by name. Raises `ValueError`."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError(f"got {SAMPLING} = {text[:80]!r}, expected a JSON object; {REMEDY}")
    defaults = SamplingSettings().flat()
    for name, value in values.items():
        if name not in ADVISED:
            raise ValueError(f"got {SAMPLING} with {name!r}, expected one of {', '.join(ADVISED)}; {REMEDY}")
        wrong = _wrong(name, value, type(defaults[name]))
        if wrong:
            raise ValueError(f"got {SAMPLING} with {name} = {value!r}, expected {wrong}; {REMEDY}")
    return {name: type(defaults[name])(value) for name, value in values.items()}


def _wrong(name: str, value: Any, kind: type) -> str:
    """Return what was expected of a value, nothing where it is all right."""
    if kind is str:
        known = _KNOWN[name]
        return "" if value in known else f"one of {', '.join(known)}"
    right = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    if kind is int:
        return "" if right and value >= 1 else "a whole number from 1"
    return "" if right and 0 <= value < float("inf") else "a number from 0"
