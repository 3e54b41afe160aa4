"""PNDM's timesteps, its answers where they are known, and the branches that the published sampler evaluates."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.sampling.clip import ClipConditions
from m3ddm_core.sampling.pndm import pndm_timesteps, reference_sampler, sample_pndm
from m3ddm_core.sampling.schedule import add_noise, noise_schedule


def test_timesteps_at_full_denoise_are_the_releases():
    scheduler = noise_schedule()
    for steps in (2, 6, 10, 50, 100):
        scheduler.set_timesteps(steps)
        assert pndm_timesteps(steps) == scheduler.timesteps[1:].tolist()
    assert pndm_timesteps(50)[:3] == [961, 961, 941]


@pytest.mark.parametrize("denoise", [0.9, 0.5, 0.1])
def test_a_partial_denoise_begins_lower_and_keeps_the_number_of_steps(denoise):
    timesteps = pndm_timesteps(20, denoise)
    assert len(timesteps) == 20
    assert timesteps[1] == timesteps[2] and timesteps == sorted(timesteps, reverse=True)
    assert timesteps[-1] == 1
    assert abs(timesteps[0] - 1000 * denoise) < 110


@pytest.mark.parametrize(("steps", "denoise"), [(0, 1.0), (10, 0.0), (10, 1.5), (10, float("nan"))])
def test_impossible_settings_are_refused(steps, denoise):
    with pytest.raises(ValueError, match=f"steps={steps}"):
        pndm_timesteps(steps, denoise)


@pytest.mark.parametrize(
    ("steps", "denoise", "tolerance"), [(20, 0.9, 0.15), (20, 0.2, 0.15), (4, 0.6, 0.15), (50, 1.0, 0.2)]
)
def test_a_perfect_predictor_gives_the_clean_latents_back(steps, denoise, tolerance):
    """Told the noise that was added to clean latents, the sampler ends at those, but for the last bit of noise.

    At 1.0 the release's first step starts a little beside its noise level, which leaves an error of its own.
    """
    draw = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 16, 2, 2, generator=draw)
    signals = noise_schedule().alphas_cumprod

    def predict(x, timestep):
        return (x - signals[timestep].sqrt() * clean) / (1 - signals[timestep]).sqrt()

    result = sample_pndm(predict, clean, noise, steps=steps, denoise=denoise)
    assert (result - clean).abs().max() < tolerance


def test_callback_sees_every_step_and_the_clean_latents():
    clean = torch.full((1, 4, 16, 2, 2), 0.3)
    signals = noise_schedule().alphas_cumprod

    def predict(x, timestep):
        return (x - signals[timestep].sqrt() * clean) / (1 - signals[timestep]).sqrt()

    seen = []

    def callback(step, steps, denoised):
        seen.append((step, steps))
        torch.testing.assert_close(denoised, clean, atol=1e-3, rtol=0)

    sample_pndm(predict, torch.zeros_like(clean), torch.ones_like(clean), steps=5, callback=callback)
    assert seen == [(step, 5) for step in range(5)]


def test_noise_is_added_to_a_timestep():
    latents, noise = torch.ones(2, 4), torch.full((2, 4), 2.0)
    signal = noise_schedule().alphas_cumprod[300]
    expected = signal.sqrt() * 1 + (1 - signal).sqrt() * 2
    torch.testing.assert_close(add_noise(latents, noise, 300), expected.expand(2, 4))


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
        context=torch.zeros(2, 5, 16, 2, 2),
        no_context=torch.ones(2, 5, 16, 2, 2),
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
