"""How a clip is sampled: one set of settings for all who sample, and presets of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .guidance import Guidance
from .solvers import PNDM

CUSTOM = "custom"
"""The name for settings of one's own."""

_OF_GUIDANCE = {
    "context_scale": "context_scale",
    "global_scale": "global_scale",
    "guidance_start": "start",
    "guidance_end": "end",
    "unconditional_every": "unconditional_every",
}
"""What users call the fields of `Guidance`."""


@dataclass(frozen=True)
class SamplingSettings:
    """How clips are sampled; by default as the published code does it.

    ``sampler`` and ``scheduler``: names as in `make_sampler`. ``denoise`` in (0, 1]: the part of the schedule that is
    gone through, from its clean end. ``guide_noise``: the timestep, 0 to 999, to which known frames are noised when a
    clip is shown them. ``clips_per_batch``: how many clips are sampled at once; 0: as many as there is room for.
    """

    steps: int = 50
    sampler: str = PNDM
    scheduler: str = "normal"
    guidance: Guidance = field(default_factory=Guidance)
    denoise: float = 1.0
    guide_noise: int = 0
    clips_per_batch: int = 1

    def changed(self, values: Mapping[str, Any]) -> SamplingSettings:
        """Return settings with some values, by the names that users know them under (`flat`), in place of their own.

        Raises `ValueError` for guidance that cannot be.
        """
        guidance = {_OF_GUIDANCE[name]: value for name, value in values.items() if name in _OF_GUIDANCE}
        own = {name: value for name, value in values.items() if name not in _OF_GUIDANCE}
        return replace(self, guidance=replace(self.guidance, **guidance), **own)

    def flat(self) -> dict[str, Any]:
        """Return all values by the names that users know them under."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "guidance"}
        return own | {name: getattr(self.guidance, inner) for name, inner in _OF_GUIDANCE.items()}


_EFFORT = ("steps", "sampler", "scheduler", "guidance_start", "guidance_end", "unconditional_every")
"""What a preset decides: what the work of a clip depends on, but for the scales."""

PRESETS = {
    "reference": SamplingSettings(),
    # A solver that goes by its last two answers takes a sudden change of guidance for a slope: guided throughout.
    "balanced": SamplingSettings(15, "dpmpp_2m", "karras", Guidance(unconditional_every=2)),
    # With so few steps each counts for itself, and the last ones, which settle detail, may do without guidance.
    "fast": SamplingSettings(7, "euler", "sgm_uniform", Guidance(end=0.75, unconditional_every=2)),
}
PRESET_NAMES = (*PRESETS, CUSTOM)


def preset_values(name: str) -> dict[str, Any]:
    """Return what a preset decides, for `SamplingSettings.changed`; nothing for ``CUSTOM``.

    Raises `ValueError` for an unknown name.
    """
    if name == CUSTOM:
        return {}
    if name not in PRESETS:
        raise ValueError(f"got the preset {name!r}, expected one of {', '.join(PRESET_NAMES)}")
    preset = PRESETS[name].flat()
    return {key: preset[key] for key in _EFFORT}
