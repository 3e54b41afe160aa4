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
CHECKPOINT = "checkpoint"
"""The name for those that a checkpoint says it is best sampled with."""

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

        Raises `ValueError` as `Guidance` does.
        """
        guidance = {_OF_GUIDANCE[name]: value for name, value in values.items() if name in _OF_GUIDANCE}
        own = {name: value for name, value in values.items() if name not in _OF_GUIDANCE}
        return replace(self, guidance=replace(self.guidance, **guidance), **own)

    def flat(self) -> dict[str, Any]:
        """Return all values by the names that users know them under."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "guidance"}
        return own | {name: getattr(self.guidance, inner) for name, inner in _OF_GUIDANCE.items()}

    def beside(self, advised: SamplingSettings) -> SamplingSettings:
        """Return what to sample with where a checkpoint advises something: these, which leave nothing open."""
        return self


@dataclass(frozen=True)
class CheckpointSettings:
    """Settings of the checkpoint that they will meet, but for ``values``, by the names of `SamplingSettings.flat`."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def beside(self, advised: SamplingSettings) -> SamplingSettings:
        """Return what to sample with where a checkpoint advises this. Raises as `SamplingSettings.changed`."""
        return advised.changed(self.values)


Settings = SamplingSettings | CheckpointSettings
"""What may be asked for before it is known which checkpoint it is for."""


_EFFORT = ("steps", "sampler", "scheduler", "guidance_start", "guidance_end", "unconditional_every")
"""What a preset decides: what the work of a clip depends on, but for the scales."""
ADVISED = (*_EFFORT, "context_scale", "global_scale")
"""What a checkpoint decides: the scales too, for how much guidance a network bears is its own."""

PRESETS = {
    "reference": SamplingSettings(),
    # A solver that goes by its last two answers takes a sudden change of guidance for a slope: guided throughout.
    "balanced": SamplingSettings(15, "dpmpp_2m", "karras", Guidance(unconditional_every=2)),
    # With so few steps each counts for itself, and the last ones, which settle detail, may do without guidance.
    "fast": SamplingSettings(7, "euler", "sgm_uniform", Guidance(end=0.75, unconditional_every=2)),
}
PRESET_NAMES = (CHECKPOINT, *PRESETS, CUSTOM)


def decided_by(preset: str) -> tuple[str, ...]:
    """Return the names of what a preset decides. Raises `ValueError` for an unknown one."""
    if preset not in PRESET_NAMES:
        raise ValueError(f"got the preset {preset!r}, expected one of {', '.join(PRESET_NAMES)}")
    return {CHECKPOINT: ADVISED, CUSTOM: ()}.get(preset, _EFFORT)


def preset_settings(preset: str, values: Mapping[str, Any]) -> Settings:
    """Return what a preset decides, with ``values`` in place of its own and of all that it leaves open.

    Raises `ValueError` for an unknown name, and as `Guidance` does.
    """
    decided = decided_by(preset)
    if preset == CHECKPOINT:
        return CheckpointSettings(dict(values))
    flat = PRESETS[preset].flat() if preset in PRESETS else {}
    return SamplingSettings().changed({**{name: flat[name] for name in decided}, **values})
