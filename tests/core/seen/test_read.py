"""Pixels read between pixels."""

from __future__ import annotations

import torch

from m3ddm_core.seen.read import read_linear, read_nearest, read_sharp


def slope():
    """Two frames of 6x8, the second twice the first: 10 a row, 1 a column."""
    row, column = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    one = (10 * row + column)[..., None]
    return torch.stack([one, 2 * one])


def test_a_slope_is_read_exactly_between_its_pixels():
    numbers, spots = torch.tensor([0, 1]), torch.tensor([[2.25, 3.5], [4.5, 2.75]])
    torch.testing.assert_close(read_linear(slope(), numbers, spots)[:, 0], torch.tensor([37.25, 64.0]))


def test_pixels_themselves_come_back_and_the_edge_goes_on():
    spots = torch.tensor([[3.0, 2.0], [-5.0, 0.0], [7.0, 9.0]])
    for read in (read_linear, read_sharp):
        found = read(slope(), torch.zeros(3, dtype=torch.long), spots)[:, 0]
        torch.testing.assert_close(found, torch.tensor([23.0, 0.0, 57.0]), atol=1e-4, rtol=0)
    maps = slope()[..., 0]
    assert read_nearest(maps, torch.tensor([1, 1, 0]), torch.tensor([[3.4, 1.6], [9.0, 0], [-1.0, 5]])).tolist() == [
        46,
        14,
        50,
    ]


def test_a_sharp_reading_keeps_what_linear_blurs():
    wave = torch.sin(torch.arange(64.0) * 1.2)[None, None, :, None].expand(1, 3, 64, 1)
    spots = torch.stack([torch.arange(10.0, 50) + 0.5, torch.ones(40)], dim=-1)
    truth = torch.sin(spots[:, 0] * 1.2)
    none = torch.zeros(40, dtype=torch.long)
    linear, sharp = ((read(wave, none, spots)[:, 0] - truth).abs().mean() for read in (read_linear, read_sharp))
    assert sharp < linear / 6
