"""The branches that the published sampler evaluates, and that nothing of it is kept for gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m3ddm_core.sampling.clip import ClipConditions
from m3ddm_core.sampling.pndm import reference_sampler


class CountingNetwork:
    """Predicts no noise; remembers what it was asked."""

    def __init__(self):
        self.encoded, self.calls = [], []

    def encode_global(self, latents):
        self.encoded.append(latents)
        return latents.flatten(2).mean(-1, keepdim=True)

    def __call__(self, x, timesteps, context, fps):
        self.calls.append((x, timesteps, context, fps))
        return torch.zeros_like(x[:, :4])


@pytest.mark.parametrize(("s1", "s2", "branches"), [(2.0, 4.0, 3), (1.0, 4.0, 2), (1.0, 1.0, 1)])
def test_reference_sampler_evaluates_what_the_scales_need(s1, s2, branches):
    network = CountingNetwork()
    conditions = ClipConditions(
        masked_video=torch.zeros(2, 5, 16, 2, 2),
        blank_video=torch.ones(2, 5, 16, 2, 2),
        global_latents=torch.randn(3, 4, 8, 8),
        fps=7,
    )
    sample = reference_sampler(network, steps=4, context_scale=s1, global_scale=s2)
    start = torch.randn(2, 4, 16, 2, 2)
    result = sample(conditions, start, torch.randn_like(start), lambda *_: None)
    assert result.shape == start.shape
    assert len(network.calls) == 4 * branches
    assert len(network.encoded) == branches, "global frames are encoded once a clip, not once a step"
    x, timesteps, context, fps = network.calls[0]
    assert x.shape == (2, 9, 16, 2, 2) and timesteps.tolist() == [501, 501] and fps.tolist() == [7, 7]
    assert len(context) == 2
    assert [len(latents[0]) for latents in network.encoded] == [3, 1, 1][:branches], "one black frame says it all"


class LearningNetwork(nn.Module):
    """One weight, asked for gradients; tells whether they would have been kept."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.kept = []

    def encode_global(self, latents):
        return self.weight * latents.flatten(2).mean(-1, keepdim=True)

    def forward(self, x, timesteps, context, fps):
        predicted = self.weight * x[:, :4]
        self.kept.append(predicted.requires_grad)
        return predicted


def test_sampling_keeps_nothing_for_gradients():
    network = LearningNetwork()
    conditions = ClipConditions(*torch.zeros(2, 1, 5, 2, 2, 2), torch.randn(3, 4, 8, 8), fps=7)
    sample = reference_sampler(network, steps=3, context_scale=2.0, global_scale=4.0)
    start = torch.randn(1, 4, 2, 2, 2, requires_grad=True)
    seen = []
    result = sample(conditions, start, torch.randn(1, 4, 2, 2, 2), lambda step, steps, clean: seen.append(clean))
    assert not any(network.kept) and len(network.kept) == 9
    assert not any(latents.requires_grad for latents in (result, *seen))
    assert torch.is_grad_enabled(), "whoever samples in the middle of training goes on learning"
    network(result, None, None, None).sum().backward()
    assert network.weight.grad is not None
