"""The samplers over diffusers' schedulers: levels, accuracy where the answer is known, and what is asked how often."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from m3ddm_core.sampling.clip import ClipConditions, guided_sampler
from m3ddm_core.sampling.guidance import Guidance
from m3ddm_core.sampling.pndm import pndm_timesteps, reference_sampler
from m3ddm_core.sampling.schedule import nearest_timestep, noise_level, signal_shares
from m3ddm_core.sampling.solvers import SAMPLERS, SCHEDULERS, make_sampler

SPREAD = 0.3
"""Standard deviation of the latents whose noise is known exactly."""


def test_noise_levels_are_those_of_the_schedule():
    signal = signal_shares().double()
    for timestep in (0, 1, 481, 999):
        level = noise_level(timestep)
        assert level == pytest.approx(((1 - signal[timestep]) / signal[timestep]).sqrt().item())
        assert nearest_timestep(level) == timestep
    assert noise_level(100.5) == pytest.approx((noise_level(100) * noise_level(101)) ** 0.5)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_levels_fall_from_the_noisiest(scheduler):
    levels = make_sampler("euler", scheduler, steps=12).levels
    assert len(levels) == 12 and levels[0] == pytest.approx(noise_level(999))
    assert (np.diff(levels) < 0).all()
    ends = noise_level(999 / 12) if scheduler == "sgm_uniform" else noise_level(0)
    assert levels[-1] == pytest.approx(ends)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("denoise", [0.5, 0.2])
def test_a_partial_denoise_takes_the_clean_end_of_a_longer_list(name, denoise):
    sampler = make_sampler(name, steps=10, denoise=denoise)
    assert len(sampler.levels) == 10
    assert nearest_timestep(sampler.levels[0]) == pytest.approx(1000 * denoise, abs=110)
    if name != "pndm":
        assert sampler.levels == make_sampler(name, steps=int(10 / denoise)).levels[-10:]


def test_pndm_keeps_its_own_levels():
    sampler = make_sampler("pndm", "karras", steps=50)
    assert [nearest_timestep(level) for level in sampler.levels] == pndm_timesteps(50)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "magic"}, "got the sampler 'magic', expected one of pndm, "),
        ({"scheduler": "beta"}, "got the scheduler 'beta', expected one of normal, "),
        ({"steps": 0}, "got steps=0"),
        ({"sampler": "euler", "steps": 0}, "got steps=0"),
        ({"sampler": "euler", "denoise": 0.0}, "denoise=0.0"),
    ],
)
def test_what_is_no_sampler_is_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_sampler(**{"sampler": "pndm", "steps": 5, **arguments})


class Known:
    """Latents around a mean, so narrowly spread that their noise can be told, and where the exact path ends."""

    def __init__(self):
        self.start, self.noise, self.mean = torch.randn(3, 2, 4, 16, 2, 2, generator=torch.Generator().manual_seed(0))

    def predict(self, x, level):
        signal = 1 / (1 + level**2)
        return (1 - signal) ** 0.5 * (x - signal**0.5 * self.mean) / (signal * SPREAD**2 + 1 - signal)

    def end(self, level):
        signal = 1 / (1 + level**2)
        x = signal**0.5 * self.start + (1 - signal) ** 0.5 * self.noise
        return self.mean + SPREAD * (x - signal**0.5 * self.mean) / (signal * SPREAD**2 + 1 - signal) ** 0.5


@pytest.mark.parametrize("denoise", [1.0, 0.4])
@pytest.mark.parametrize(("name", "tolerance"), [("dpmpp_2m", 0.03), ("heun", 0.02), ("uni_pc_bh2", 0.03)])
def test_twenty_steps_of_the_higher_orders_end_where_they_should(name, tolerance, denoise):
    known = Known()
    sampler = make_sampler(name, "karras", steps=20, denoise=denoise)
    found = sampler.run(known.predict, known.start, known.noise, lambda *step: None)
    assert (found - known.end(sampler.levels[0])).abs().max() < tolerance


def test_first_order_comes_nearer_with_more_steps():
    known = Known()
    errors = []
    for steps in (10, 40, 160):
        sampler = make_sampler("euler", "karras", steps=steps)
        found = sampler.run(known.predict, known.start, known.noise, lambda *step: None)
        errors.append((found - known.end(sampler.levels[0])).abs().max().item())
    assert errors[1] < 0.35 * errors[0] and errors[2] < 0.35 * errors[1]


def test_ddim_is_euler():
    known = Known()
    one, other = (
        make_sampler(name, steps=6).run(known.predict, known.start, known.noise, lambda *step: None)
        for name in ("ddim", "euler")
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_every_sampler_reports_every_evaluation_and_the_clean_latents(name, steps):
    clean = torch.full((1, 4, 16, 2, 2), 0.3)
    asked, seen = [], []

    def predict(x, level):
        asked.append(level)
        signal = 1 / (1 + level**2)
        return (x - signal**0.5 * clean) / (1 - signal) ** 0.5

    def callback(step, steps, denoised):
        seen.append((step, steps))
        torch.testing.assert_close(denoised, clean, atol=2e-3, rtol=0)

    sampler = make_sampler(name, steps=steps)
    sampler.run(predict, torch.zeros_like(clean), torch.ones_like(clean), callback)
    evaluations = 2 * steps - 1 if name == "heun" else steps
    assert seen == [(number, evaluations) for number in range(evaluations)]
    assert sorted(set(asked), reverse=True) == pytest.approx(sorted(set(sampler.levels), reverse=True))


class AffineNetwork:
    """Its noise depends on all that it is told; remembers how much it was asked, and at which timesteps."""

    def __init__(self):
        self.timesteps = []

    def encode_global(self, latents):
        return latents.flatten(2).mean(-1, keepdim=True)

    def __call__(self, x, timesteps, context, fps):
        self.timesteps.append(timesteps[0].item())
        return 0.5 * x[:, :4] + 0.1 * x[:, 4:8] + context.mean((1, 2)).view(-1, 1, 1, 1, 1)


@pytest.fixture
def clip():
    draw = torch.Generator().manual_seed(1)
    context, blank_video = torch.randn(2, 2, 5, 16, 2, 2, generator=draw)
    start, noise = torch.randn(2, 2, 4, 16, 2, 2, generator=draw)
    return ClipConditions(context, blank_video, torch.randn(3, 4, 8, 8, generator=draw), 7), start, noise


def test_the_reference_is_pndm_guided_throughout(clip):
    network = AffineNetwork()
    scales = {"context_scale": 2.0, "global_scale": 4.0}
    published = reference_sampler(network, steps=6, **scales)(*clip, lambda *step: None)
    ours = guided_sampler(network, Guidance(2.0, 4.0), make_sampler(steps=6))(*clip, lambda *step: None)
    assert torch.equal(published, ours)


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_run_remembers_another(clip, name):
    """A sampler may be used again and again: nothing of the run before is reused."""
    network = AffineNetwork()
    sample = guided_sampler(network, Guidance(unconditional_every=3), make_sampler(name, steps=4))
    first = sample(*clip, lambda *step: None)
    asked = len(network.timesteps)
    assert torch.equal(sample(*clip, lambda *step: None), first)
    assert len(network.timesteps) == 2 * asked


def test_guidance_ends_where_it_is_told_to(clip):
    network = AffineNetwork()
    sampler = make_sampler("euler", steps=11)
    sample = guided_sampler(network, Guidance(start=0.2, end=0.5), sampler)
    sample(*clip, lambda *step: None)
    counts = [network.timesteps.count(nearest_timestep(level)) for level in sampler.levels]
    # Eleven steps of "normal" are tenths of the way; both ends belong to the interval.
    assert counts == [1, 1, 3, 3, 3, 3, 1, 1, 1, 1, 1]


def test_only_pndm_runs_without_diffusers(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)  # importing it then fails
    start, noise = torch.randn(2, 1, 4, 2, 3, 3)
    answer = make_sampler("pndm", steps=2).run(lambda x, level: x, start, noise, lambda *step: None)
    assert torch.isfinite(answer).all()
    for name in set(SAMPLERS) - {"pndm"}:
        with pytest.raises(ValueError, match=f"{name}.*pip install diffusers"):
            make_sampler(name, steps=2)
