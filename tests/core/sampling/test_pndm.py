"""PNDM's timesteps, its answers where they are known, and diffusers' own scheduler beside it."""

from __future__ import annotations

import pytest
import torch
from diffusers import PNDMScheduler

from m3ddm_core.sampling.pndm import pndm_timesteps, sample_pndm
from m3ddm_core.sampling.schedule import add_noise, signal_shares


def published_scheduler():
    """The scheduler of diffusers that the published code samples with."""
    return PNDMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def test_the_schedule_is_bit_by_bit_that_of_diffusers():
    scheduler = published_scheduler()
    assert torch.equal(signal_shares(), scheduler.alphas_cumprod)
    for dtype in (torch.float32, torch.bfloat16):
        clean, noise = torch.randn(2, 2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
        for timestep in (0, 1, 500, 999):
            expected = scheduler.add_noise(clean, noise, torch.tensor([timestep, timestep]))
            assert torch.equal(add_noise(clean, noise, timestep), expected)


@pytest.mark.parametrize(
    ("steps", "denoise"),
    [
        (1, 1.0),
        (2, 1.0),
        (3, 1.0),
        (7, 1.0),
        (50, 1.0),
        (999, 1.0),
        (20, 0.9),
        (4, 0.6),
        (2, 0.5),
        (1, 0.01),
        (50, 0.05),
    ],
)
def test_every_step_is_bit_by_bit_that_of_diffusers(steps, denoise):
    draw = torch.Generator().manual_seed(steps)
    start, noise, weight = torch.randn(3, 1, 4, 3, 4, 4, generator=draw)

    def predict(x, timestep):
        return torch.tanh(weight * x + timestep / 1000)

    scheduler = published_scheduler()
    scheduler.set_timesteps(int(steps / denoise))
    timesteps = pndm_timesteps(steps, denoise)
    expected = scheduler.add_noise(start, noise, torch.tensor(timesteps[:1]))
    for timestep in timesteps:
        expected = scheduler.step(predict(expected, timestep), timestep, expected).prev_sample
    assert torch.equal(sample_pndm(predict, start, noise, steps=steps, denoise=denoise), expected)


def test_timesteps_at_full_denoise_are_the_releases():
    scheduler = published_scheduler()
    for steps in (1, 2, 6, 10, 50, 100, 999):
        scheduler.set_timesteps(steps)
        assert pndm_timesteps(steps) == (scheduler.timesteps[1:] if steps > 1 else scheduler.timesteps).tolist()
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
    signals = signal_shares()

    def predict(x, timestep):
        return (x - signals[timestep].sqrt() * clean) / (1 - signals[timestep]).sqrt()

    result = sample_pndm(predict, clean, noise, steps=steps, denoise=denoise)
    assert (result - clean).abs().max() < tolerance


def test_callback_sees_every_step_and_the_clean_latents():
    clean = torch.full((1, 4, 16, 2, 2), 0.3)
    signals = signal_shares()

    def predict(x, timestep):
        return (x - signals[timestep].sqrt() * clean) / (1 - signals[timestep]).sqrt()

    seen = []

    def callback(step, steps, denoised):
        seen.append((step, steps))
        torch.testing.assert_close(denoised, clean, atol=1e-3, rtol=0)

    sample_pndm(predict, torch.zeros_like(clean), torch.ones_like(clean), steps=5, callback=callback)
    assert seen == [(step, 5) for step in range(5)]


@pytest.mark.parametrize(("steps", "denoise"), [(1000, 1.0), (50, 0.04)])
def test_more_steps_than_timesteps_are_refused(steps, denoise):
    with pytest.raises(ValueError, match=f"steps={steps}, denoise={denoise}, the end of"):
        pndm_timesteps(steps, denoise)
