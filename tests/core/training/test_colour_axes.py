"""Colour axes: the turn is the least squares', folding it in changes nothing else, the loss is the matrix's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3ddm_core.training.colour_axes import COLOURS, colour_error, fit_turn, fold_turn


class Ends(nn.Module):
    """The two convolutions that a turn is folded into, where a tiny autoencoder has them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.layers = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 3, padding=1))
        self.decoder.layers = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 3, 1))


@pytest.fixture
def latents() -> Tensor:
    """Correlated, of other sizes and means than Stable Diffusion's."""
    torch.manual_seed(1)
    mixed = torch.einsum("n z h w, z y -> n y h w", torch.randn(6, 4, 8, 8), torch.randn(4, 4))
    return mixed + torch.tensor([0.5, -1.0, 0.0, 2.0])[:, None, None]


@pytest.fixture
def pictures(latents: Tensor) -> Tensor:
    """Blocks of 8x8 pixels whose colours are, but for a little, a line of the latents."""
    line = torch.tensor([[0.2, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, -0.1, 0.2], [0.0, 0.1, -0.1]])
    colours = torch.einsum("n z h w, z c -> n c h w", latents, line) - 0.3
    return F.interpolate(colours + 0.01 * torch.randn_like(colours), scale_factor=8.0, mode="nearest")


def turned(latents: Tensor, turn: Tensor, offset: Tensor) -> Tensor:
    return torch.einsum("n z h w, z y -> n y h w", latents.double(), turn) + offset[:, None, None]


def test_the_error_is_that_of_the_matrix() -> None:
    latents = torch.zeros(1, 4, 2, 2)
    latents[:, 1] = 2.0
    pictures = 2 * torch.tensor(COLOURS[1])[None, :, None, None].expand(1, 3, 16, 16)
    torch.testing.assert_close(colour_error(latents, pictures), torch.tensor(0.0))
    torch.testing.assert_close(colour_error(latents, pictures + 0.5), torch.tensor(0.25))


def test_turned_latents_show_their_colours_as_well_as_any_line_can(latents: Tensor, pictures: Tensor) -> None:
    turn, offset = fit_turn(latents, pictures)
    rows = latents.permute(0, 2, 3, 1).reshape(-1, 4).double()
    rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)
    colours = F.avg_pool2d(pictures, 8).permute(0, 2, 3, 1).reshape(-1, 3).double()
    least = (rows @ torch.linalg.lstsq(rows, colours).solution - colours).square().mean()
    torch.testing.assert_close(colour_error(turned(latents, turn, offset), pictures.double()), least)
    assert colour_error(latents, pictures) > 100 * least


def test_the_fourth_direction_is_what_the_colours_leave(latents: Tensor, pictures: Tensor) -> None:
    turn, offset = fit_turn(latents, pictures)
    rows = turned(latents, turn, offset).permute(0, 2, 3, 1).reshape(-1, 4)
    matrix = torch.tensor(COLOURS, dtype=torch.float64)
    unseen = torch.linalg.svd(matrix.T).Vh[-1]
    shared = torch.cov(torch.stack([rows @ unseen, *(rows @ matrix).T]))[0]
    assert shared[1:].abs().max() < 1e-9 and shared[0] > 0.2
    torch.testing.assert_close(rows @ unseen - (rows @ unseen).mean(), (rows - rows.mean(dim=0)) @ unseen)
    assert abs((rows @ unseen).mean()) < 1e-9, "it has no mean"
    if shared[0] > 0.2501:
        torch.testing.assert_close(rows.var(dim=0, correction=0).mean(), torch.tensor(1.0, dtype=torch.float64))


def test_folding_is_exact(latents: Tensor) -> None:
    torch.manual_seed(2)
    network = Ends().double()
    turn, offset = torch.randn(4, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    features = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    before, decoded = network.encoder.layers(features), network.decoder.layers(latents.double())
    fold_turn(network, turn, offset)
    torch.testing.assert_close(network.encoder.layers(features), turned(before, turn, offset))
    after = network.decoder.layers(turned(latents, turn, offset))
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(after[inside], decoded[inside])
    assert not torch.allclose(after, decoded), "at the rim the padding is other numbers' zero"
