"""Sets of sampling settings by name, the same for nodes, measurements and benchmarks, and what each of them costs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from .clip import ClipConditions, guided_sampler
from .guidance import Branch, Guidance
from .solvers import PNDM, make_sampler

CUSTOM = "custom"
"""The name for settings of one's own."""

PUBLISHED_EVALUATIONS = 4 * 50
"""Evaluations of the network for one clip in the published code: four branches, of which it uses three, in 50 steps.
Its scheduler lists 51 timesteps, of which it leaves out the first."""


@dataclass(frozen=True)
class Effort:
    """What decides how much work a clip is; the release's by default. The base of all dataclasses of settings.

    ``sampler`` and ``scheduler`` as in :func:`make_sampler`, the rest as in :class:`Guidance`.
    """

    steps: int = 50
    sampler: str = PNDM
    scheduler: str = "normal"
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    unconditional_every: int = 1

    def guidance(self, context_scale: float, global_scale: float) -> Guidance:
        """Return guidance with these scales. Raises ``ValueError`` for an interval that is none."""
        return Guidance(context_scale, global_scale, self.guidance_start, self.guidance_end, self.unconditional_every)


PRESETS = {
    "reference": Effort(),
    # A solver that goes by its last two answers takes a sudden change of guidance for a slope: guided throughout.
    "balanced": Effort(15, "dpmpp_2m", "karras", unconditional_every=2),
    # With so few steps each counts for itself, and the last ones, which settle detail, may do without guidance.
    "fast": Effort(7, "euler", "sgm_uniform", guidance_end=0.75, unconditional_every=2),
}
PRESET_NAMES = (*PRESETS, CUSTOM)

Settings = TypeVar("Settings", bound=Effort)


def with_preset(settings: Settings, name: str) -> Settings:
    """Return settings with a preset's effort in place of their own; ``CUSTOM`` leaves them as they are.

    Scales, denoise and whatever else they hold stay. Raises ``ValueError`` for an unknown name.
    """
    if name == CUSTOM:
        return settings
    if name not in PRESETS:
        raise ValueError(f"got the preset {name!r}, expected one of {', '.join(PRESET_NAMES)}")
    return dataclasses.replace(settings, **dataclasses.asdict(PRESETS[name]))


class _CountingNetwork:
    """Answers with zeros and counts, by what it is told: ones where something is known, zeros where nothing is."""

    def __init__(self) -> None:
        self.evaluations: Counter[Branch] = Counter()

    def encode_global(self, latents: Tensor) -> Tensor:
        return latents.flatten(1, -2)

    def __call__(self, x: Tensor, timesteps: Tensor, context: Tensor, fps: Tensor) -> Tensor:
        told = Branch.FULL if context.any() else Branch.CONTEXT if x[:, 4:].any() else Branch.UNCONDITIONAL
        self.evaluations[told] += len(x)
        return torch.zeros_like(x[:, :4])


def clip_evaluations(effort: Effort, context_scale: float = 2.0, global_scale: float = 4.0) -> Counter[Branch]:
    """Count the evaluations of the network for one clip by sampling one, with a network that is none.

    By branch: those without global frames are the cheaper ones.
    """
    network = _CountingNetwork()
    sampler = make_sampler(effort.sampler, effort.scheduler, steps=effort.steps)
    latents, context = torch.zeros(1, 4, 1, 1, 1), torch.ones(1, 5, 1, 1, 1)
    conditions = ClipConditions(context, torch.zeros_like(context), torch.ones(1, 4, 1, 1), 1)
    sample = guided_sampler(network, effort.guidance(context_scale, global_scale), sampler)
    sample(conditions, latents, latents, lambda step, steps, denoised: None)
    return network.evaluations
