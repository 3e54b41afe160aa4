"""How wide a lens is, told by what a turn of the camera does to the picture."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.seen.camera import find_stretches
from m3ddm_core.seen.look import look_around
from m3ddm_core.seen.pyramid import build_pyramid
from tests.core.seen.test_look import claimed
from tests.helpers.filmed import Film, filmed, painted, pan, turning

SOURCE = (64, 64)


@pytest.mark.parametrize("bend", [0.15, 0.33, 0.6])
def test_the_lens_of_a_turning_camera_is_found(bend):
    assert bend_of(turning(1.2, bend)) == pytest.approx(bend, rel=0.08)


def test_a_camera_that_moves_along_or_stands_has_no_lens_to_be_told():
    assert bend_of(pan(1.4)) == 0
    assert bend_of(filmed(painted(1), [(200, 120, 1 + 0.01 * t, 0.01 * t) for t in range(24)])) == 0
    assert bend_of(pan(0.01)) == 0


def test_what_a_turning_camera_has_filmed_is_where_the_lens_bends_it_to():
    film = turning(1.2, 0.33, seed=3)
    share, psnr, off = claimed(film, look_around(film.source, film.placement))
    assert share > 0.4 and psnr > 36 and off < 0.002


def bend_of(film: Film) -> float:
    (stretch,) = find_stretches(build_pyramid(film.source, SOURCE))
    return stretch.freedom.bend


def test_a_turn_is_the_same_from_every_frame():
    (stretch,) = find_stretches(build_pyramid(turning(1.2, 0.33).source, SOURCE))
    # A turn keeps the quadratic form of its rays: x^2 + y^2 + 1 / bend.
    form = torch.diag(torch.tensor([1, 1, 1 / stretch.freedom.bend], dtype=torch.float64))
    turned = stretch.path.mT @ form @ stretch.path
    scale = turned[:, 2, 2] / form[2, 2]
    torch.testing.assert_close(turned / scale[:, None, None], form.expand_as(turned), atol=0.03, rtol=0)
