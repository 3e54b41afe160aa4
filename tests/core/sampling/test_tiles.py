"""Tiles cover everything with as much overlap as was asked for, and what they are put together to is the whole."""

from __future__ import annotations

import itertools

import pytest
import torch

from m3ddm_core.sampling.tiles import in_tiles, plan_tiles


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "starts"),
    [
        (32, 32, 8, [0]),
        (20, 32, 8, [0]),
        (33, 32, 8, [0, 1]),
        (64, 32, 0, [0, 32]),
        (64, 32, 8, [0, 16, 32]),
        (56, 32, 8, [0, 24]),
    ],
)
def test_tiles_are_few_and_evenly_spread(size: int, tile: int, overlap: int, starts: list[int]) -> None:
    assert [part.start for part in plan_tiles(size, tile, overlap)] == starts


def test_tiles_cover_every_size_and_overlap_as_asked() -> None:
    for size in range(1, 90):
        for tile, overlap in ((8, 0), (8, 3), (9, 8), (32, 8), (32, 31)):
            tiles = plan_tiles(size, tile, overlap)
            assert tiles[0].start == 0 and tiles[-1].stop == size
            assert all(part.stop - part.start == min(tile, size) for part in tiles)
            assert all(one.stop - two.start >= overlap for one, two in itertools.pairwise(tiles))
            assert len(tiles) <= max(-(-(size - overlap) // (tile - overlap)), 1)


@pytest.mark.parametrize("overlap", [-1, 8, 9])
def test_an_overlap_that_leaves_nothing_is_an_error(overlap: int) -> None:
    with pytest.raises(ValueError, match=rf"overlap of {overlap} for tiles of 8, expected 0 to 7"):
        plan_tiles(20, 8, overlap)


@pytest.mark.parametrize("size", [(20, 37), (8, 37), (37, 5), (6, 7)])
@pytest.mark.parametrize("overlap", [0, 3, 7])
def test_what_does_not_look_around_is_the_same_in_tiles(size: tuple[int, int], overlap: int) -> None:
    x = torch.randn(2, 4, 3, *size, generator=torch.Generator().manual_seed(0))
    seen = []

    def evaluate(place: tuple[slice, slice]) -> torch.Tensor:
        part = x[(..., *place)]
        seen.append(part.shape[-2:])
        return part.sin()

    torch.testing.assert_close(in_tiles(evaluate, size, 8, overlap), x.sin())
    assert all(max(part) <= 8 for part in seen)


def test_one_tile_is_handed_on_as_it_is() -> None:
    x = torch.rand(1, 4, 8, 8)
    assert in_tiles(lambda place: x, (8, 8), 8, 4) is x


def test_a_tile_counts_the_more_the_farther_from_its_edge() -> None:
    """Two tiles that disagree: from the one's answer to the other's without a step."""
    answers = iter((0.0, 1.0))
    line = in_tiles(lambda place: torch.full((1, 12), next(answers)), (1, 20), 12, 4)[0]
    assert (line[:8] == 0).all() and (line[12:] == 1).all()
    torch.testing.assert_close(line[8:12], torch.tensor([0.2, 0.4, 0.6, 0.8]))
