"""The two parts of gradient-domain blending: the membrane on its grid of cells, and the fringe at the seam."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.canvas.placement import Placement, place
from m3ddm_core.composite.fringe import fringe, sides
from m3ddm_core.composite.membrane import Membrane, cell_size
from m3ddm_core.composite.seam import SeamBand, rectangles

PLACEMENTS = {
    "left and right": place((60, 108), ratio="16:9", canvas_size=128),
    "all sides": place((90, 60), pixels=(30, 20, 10, 40), canvas_size=128),
    "a pixel wide": place((127, 128), pixels=(1, 0, 0, 0), canvas_size=128),
    "a small source": place((4, 4), pixels=(60, 60, 60, 60), canvas_size=128),
}


def _membrane(placement: Placement) -> tuple[Membrane, SeamBand]:
    size = placement.canvas[1], placement.canvas[0]
    band = SeamBand.of(placement, size)
    return Membrane(placement, band, size), band


@pytest.mark.parametrize("name", PLACEMENTS)
def test_a_membrane_stays_between_what_it_hangs_on(name: str) -> None:
    membrane, _ = _membrane(PLACEMENTS[name])
    torch.testing.assert_close(membrane.spread.sum(1), torch.ones(len(membrane.spread)))
    assert membrane.spread.min() > -1e-6
    torch.testing.assert_close(membrane.gather.sum(1), torch.ones(len(membrane.gather)))


def test_a_membrane_is_the_mean_of_its_neighbours() -> None:
    membrane, _ = _membrane(PLACEMENTS["all sides"])
    held = (membrane.spread == 1).any(1).unflatten(0, membrane.shape)
    field = membrane.spread.unflatten(0, membrane.shape)
    inner = field[1:-1, 1:-1]
    mean = (field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:]) / 4
    free = ~held[1:-1, 1:-1]
    assert free.sum() > 100
    torch.testing.assert_close(inner[free], mean[free], rtol=0, atol=1e-5)


def test_each_side_takes_its_own_colour() -> None:
    placement = PLACEMENTS["left and right"]
    membrane, band = _membrane(placement)
    left = band.positions[:, 1] < placement.canvas_source[2] / 2
    field = membrane(torch.where(left[:, None], 0.2, -0.1)[None].expand(1, -1, 3))
    x, y, width, height = placement.canvas_target
    inside = field[0, y : y + height, x : x + width]
    torch.testing.assert_close(inside[:, 2].mean(), torch.tensor(0.2), rtol=0, atol=0.01)
    torch.testing.assert_close(inside[:, -3].mean(), torch.tensor(-0.1), rtol=0, atol=0.01)


def test_small_changes_of_noisy_cells_are_held_back_and_large_ones_not() -> None:
    membrane, band = _membrane(PLACEMENTS["left and right"])
    noise = 0.1 * torch.randn(1, len(band.positions), 3, generator=torch.Generator().manual_seed(0))
    steady = membrane(noise)
    small = (membrane(noise + 0.005) - steady).abs().mean()
    large = (membrane(noise + 0.5) - steady).abs().mean()
    assert small < 0.002 and large > 0.48


def test_rectangles_cover_the_edges_once() -> None:
    for depths in ((3, 2, 0, 1), (0, 0, 0, 0), (9, 9, 9, 9), (0, 5, 0, 4)):
        count = torch.zeros(8, 10)
        for high, wide in rectangles((10, 8), depths):
            count[high, wide] += 1
        left, top, right, bottom = depths
        inside = torch.zeros_like(count)
        inside[top : 8 - bottom, left : 10 - right] = 1
        assert torch.equal(count, 1 - inside)


@pytest.mark.parametrize("name", PLACEMENTS)
def test_a_fringe_fits_its_rectangle_and_fades_out(name: str) -> None:
    placement, reach = PLACEMENTS[name], 12
    covered = torch.zeros(placement.target[1], placement.target[0])
    for side in sides(placement, reach):
        line = torch.ones(1, placement.source[1 - side.axis], 3)
        high, wide = side.rectangle(placement)
        field = fringe(side, line, reach)
        assert covered[high, wide].shape == field.shape[1:3]
        covered[high, wide] += field[0, ..., 0]
    (x, y), (width, height), (left, top, *_) = placement.offset, placement.source, placement.border
    assert (covered[y : y + height, x : x + width] == 0).all(), "the source is left alone"
    if left:
        torch.testing.assert_close(covered[y : y + height, x - 1], torch.ones(height), rtol=0, atol=1e-5)
    if left > reach and top > reach:
        assert (covered[:, : x - reach] == 0).all() and (covered[y - 1, x - 1] - 1).abs() < 1e-5
        assert covered.diff(dim=0)[: y - 1].abs().max() < 0.3, "no step where two fringes meet"


def test_a_fringe_begins_with_the_line_and_ends_smooth() -> None:
    placement = PLACEMENTS["left and right"]
    left, right = sides(placement, 32)
    line = torch.randn(1, 108, 3, generator=torch.Generator().manual_seed(0))
    field = fringe(left, line, 32)
    assert (field[:, :, -1] - line).abs().mean() < 0.25 * line.abs().mean()
    roughness = field.diff(dim=1).abs().mean((0, 1, 3))
    assert (roughness.diff() >= 0).all(), "smoother with every pixel away from the source"
    torch.testing.assert_close(fringe(right, line, 32), field.flip(2))


def test_a_cell_is_a_share_of_the_target() -> None:
    assert cell_size(PLACEMENTS["left and right"]) == 4
    assert cell_size(place((60, 108), ratio="16:9", canvas_size=16)) == 1
