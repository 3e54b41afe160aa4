"""The noise schedule: noised latents, and one table for all who ask."""

from __future__ import annotations

import torch

from m3ddm_core.sampling.schedule import add_noise, signal_shares


def test_noise_is_added_to_a_timestep():
    latents, noise = torch.ones(2, 4), torch.full((2, 4), 2.0)
    signal = signal_shares()[300]
    expected = signal.sqrt() * 1 + (1 - signal).sqrt() * 2
    torch.testing.assert_close(add_noise(latents, noise, 300), expected.expand(2, 4))


def test_the_schedule_is_built_once_and_serves_gradients():
    signal_shares.cache_clear()
    with torch.inference_mode():
        first = signal_shares()
    assert signal_shares() is first and not first.is_inference()
    latents = torch.ones(1, 4, requires_grad=True)
    add_noise(latents, torch.zeros(1, 4), 300).sum().backward()
    torch.testing.assert_close(latents.grad, first[300].sqrt().expand(1, 4))
