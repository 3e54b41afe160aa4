"""What a clip costs in evaluations of the network, counted by sampling one."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from m3ddm_core.sampling.clip import ClipConditions, guided_sampler
from m3ddm_core.sampling.guidance import Branch
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.sampling.solvers import make_sampler

PUBLISHED_EVALUATIONS = 4 * 50
"""Evaluations of the network for one clip in the published code: four branches, of which it uses three, in 50 steps.
Its scheduler lists 51 timesteps, of which it leaves out the first."""


class _CountingNetwork:
    """Answers with zeros and counts the branches, which it knows by what it is shown: ones for known, zeros for not."""

    def __init__(self) -> None:
        self.evaluations: Counter[Branch] = Counter()

    def encode_global(self, latents: Tensor) -> Tensor:
        return latents.flatten(1, -2)

    def __call__(self, x: Tensor, timesteps: Tensor, global_tokens: Tensor, fps: Tensor) -> Tensor:
        shown = Branch.FULL if global_tokens.any() else Branch.MASKED_VIDEO if x[:, 4:].any() else Branch.UNCONDITIONAL
        self.evaluations[shown] += len(x)
        return torch.zeros_like(x[:, :4])


def clip_evaluations(settings: SamplingSettings) -> Counter[Branch]:
    """Count the evaluations of the network for one clip by branch: those without global frames are the cheaper ones."""
    network = _CountingNetwork()
    sampler = make_sampler(settings.sampler, settings.scheduler, steps=settings.steps)
    latents, known = torch.zeros(1, 4, 1, 1, 1), torch.ones(1, 5, 1, 1, 1)
    conditions = ClipConditions(known, torch.zeros_like(known), torch.ones(1, 4, 1, 1), 1)
    sample = guided_sampler(network, settings.guidance, sampler)
    sample(conditions, latents, latents, lambda step, steps, denoised: None)
    return network.evaluations
