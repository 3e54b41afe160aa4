"""A network that predicts v answers with the noise, exactly."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.sampling.prediction import noise_network
from m3ddm_core.sampling.schedule import add_noise, signal_shares


class KnowsTheAnswer:
    """Predicts v from the clean latents and the noise that it was given."""

    def __init__(self, clean, noise):
        self.clean, self.noise = clean, noise

    def encode_global(self, latents):
        return latents + 1

    def __call__(self, x, timesteps, context, fps):
        signal = signal_shares()[timesteps].view(-1, 1, 1, 1, 1)
        return signal.sqrt() * self.noise - (1 - signal).sqrt() * self.clean


@pytest.mark.parametrize("timestep", [1, 500, 961])
def test_velocity_becomes_noise(timestep):
    clean, noise = torch.randn(2, 2, 4, 3, 2, 2, generator=torch.Generator().manual_seed(timestep))
    network = noise_network(KnowsTheAnswer(clean, noise), "v_prediction")
    x = torch.cat([add_noise(clean, noise, timestep), torch.full((2, 5, 3, 2, 2), 7.0)], dim=1)
    found = network(x, torch.full((2,), timestep), torch.zeros(()), torch.zeros(()))
    torch.testing.assert_close(found, noise)
    assert network.encode_global(torch.zeros(())) == 1


def test_noise_stays_as_it_is():
    network = KnowsTheAnswer(None, None)
    assert noise_network(network, "epsilon") is network
