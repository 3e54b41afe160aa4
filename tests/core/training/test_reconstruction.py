"""The autoencoder's loss: each part by a picture whose error in it is known."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from m3ddm_core.training.colour_axes import COLOURS
from m3ddm_core.training.reconstruction import Reconstruction, local_contrast
from m3ddm_core.training.tiny_vae_config import Worth

PIXELS_ALONE = Worth(edges=0.0, spread=0.0, noise=0.0)


class Grey(torch.nn.Module):
    """Encodes to ``latent`` everywhere, decodes to grey."""

    def __init__(self, latent: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)):
        super().__init__()
        self.latent = torch.tensor(latent)

    def encoder(self, x: Tensor) -> Tensor:
        return self.latent[None, :, None, None].expand(len(x), 4, x.shape[2] // 8, x.shape[3] // 8)

    def decoder(self, z: Tensor) -> Tensor:
        return torch.zeros(len(z), 3, 8 * z.shape[2], 8 * z.shape[3])


@pytest.fixture
def flat() -> Tensor:
    return torch.full((2, 3, 16, 16), 0.5)


@pytest.fixture
def striped() -> Tensor:
    pictures = torch.zeros(2, 3, 16, 16)
    pictures[..., ::2] = 1
    return pictures


def loss(pictures: Tensor, latent: tuple[float, ...] = (0.0,) * 4, **worth: float) -> float:
    network = Grey(latent)
    return Reconstruction(network, dataclasses.replace(PIXELS_ALONE, **worth))(pictures, torch.zeros(2, 4, 2, 2)).item()


def test_pixels_and_edges(flat: Tensor, striped: Tensor) -> None:
    assert loss(flat) == pytest.approx(0.5)
    assert loss(striped) == pytest.approx(0.5)
    assert loss(flat, edges=2.0) == pytest.approx(0.5)
    assert loss(striped, edges=2.0) == pytest.approx(0.5 + 2.0)


def test_spread_and_colours(flat: Tensor) -> None:
    # Latents that are all zero have mean zero and a standard deviation of zero.
    assert loss(flat, spread=0.25) == pytest.approx(0.5 + 0.25)
    assert loss(flat, colours=3.0) == pytest.approx(0.5 + 3 * 0.5**2)
    shown = torch.tensor(COLOURS[2])[None, :, None, None].expand(2, 3, 16, 16)
    assert loss(shown, (0.0, 0.0, 1.0, 0.0), colours=3.0) == pytest.approx(loss(shown))


def test_sharpness_asks_for_a_texture_of_the_right_strength_wherever_it_lies(striped: Tensor) -> None:
    contrast = local_contrast(striped)
    assert contrast.shape == (2, 3, 2, 2), "windows of 8 pixels, 4 apart, in 15x15 pairs of differences"
    torch.testing.assert_close(contrast, torch.ones(2, 3, 2, 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(local_contrast(striped.roll(1, -1)), contrast)
    torch.testing.assert_close(local_contrast(striped / 2), contrast / 2, atol=1e-3, rtol=0)
    assert loss(striped, sharpness=2.0) == pytest.approx(0.5 + 2 * (1 - 0.01), abs=1e-3)


def test_lpips_counts_by_its_weight_and_is_not_trained(flat: Tensor) -> None:
    distance = torch.nn.Linear(1, 1)

    def perceptual(decoded: Tensor, pictures: Tensor) -> Tensor:
        assert not decoded.any() and torch.equal(pictures, flat)
        return torch.tensor([[[[0.1]]], [[[0.3]]]]) + 0 * distance.weight.sum()

    model = Reconstruction(Grey(), dataclasses.replace(PIXELS_ALONE, lpips=2.0), perceptual)
    assert model(flat, torch.zeros(2, 4, 2, 2)).item() == pytest.approx(0.5 + 2 * 0.2)
    assert not list(model.parameters()) and not model.state_dict()
