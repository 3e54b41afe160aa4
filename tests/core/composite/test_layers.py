"""All layers of finished frames: what is seen is laid over all of them, and told apart from what is not."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.canvas.placement import place, with_canvas
from m3ddm_core.composite.compositor import composite
from m3ddm_core.composite.layers import composite_layers, provenance
from m3ddm_core.seen.look import look_around
from m3ddm_core.seen.recipe import CONFIDENT
from tests.helpers.filmed import SIDE, TARGET, filmed, painted, pan

GREY = 0.25


@pytest.fixture(scope="module")
def panned():
    film = pan(1.4, 12)
    return film, look_around(film.source, film.placement)


def generated(film):
    return torch.full((len(film.whole), *TARGET[::-1], 3), GREY)


def test_what_is_seen_is_laid_over_and_the_rest_is_as_generated(panned):
    film, seen = panned
    images, laid = composite_layers(film.source, generated(film), film.placement, seen, feather=0)
    # On this canvas the target has its full size.
    assert seen.share > 0.1 and torch.equal(laid, seen.confidence_on_canvas() >= CONFIDENT)
    assert (images - film.whole)[laid].abs().mean() < 0.01
    border = torch.ones_like(laid)
    border[:, :, SIDE:-SIDE] = False
    assert (images[border & ~laid] == GREY).all() and torch.equal(images[:, :, SIDE:-SIDE], film.source)
    told = []
    alpha = torch.cat([film.source, torch.rand(12, 64, 64, 1)], dim=-1)
    again, _ = composite_layers(alpha, generated(film), film.placement, seen, feather=0, on_laid=told.append)
    assert torch.equal(again, images) and told == list(range(1, 13))


def test_a_canvas_of_another_size_has_the_same_target(panned):
    film, seen = panned
    wider = with_canvas(film.placement, 64, "square")
    small = torch.full((12, 64, 64, 3), GREY)
    images, laid = composite_layers(film.source, small, wider, seen)
    expected, where = composite_layers(film.source, generated(film), film.placement, seen)
    torch.testing.assert_close(images, expected)
    assert torch.equal(laid, where)


def test_a_still_camera_is_bit_equal_to_no_looking_around():
    film = filmed(painted(4), [(200, 120, 1, 0)] * 8)
    seen = look_around(film.source, film.placement)
    images, laid = composite_layers(film.source, generated(film), film.placement, seen, blend="gradient")
    assert laid is None
    assert torch.equal(images, composite(film.source, generated(film), film.placement, blend="gradient"))


def test_what_does_not_belong_together_is_named(panned):
    film, seen = panned
    with pytest.raises(ValueError, match="got a source mask and seen pixels, expected one of the two"):
        composite_layers(film.source, generated(film), film.placement, seen, source_mask=torch.zeros(1, 64, 64))
    with pytest.raises(ValueError, match=r"got seen pixels of 12 frames of 64x64 .*, expected 11 frames of 64x64"):
        composite_layers(film.source[1:], generated(film)[1:], film.placement, seen)
    elsewhere = place((64, 64), pixels=(2 * SIDE, 0, 0, 0), canvas_size=96, canvas_shape="target")
    with pytest.raises(ValueError, match=r"at 16, 0, expected 12 frames .* at 32, 0: look around"):
        composite_layers(film.source, generated(film), elsewhere, seen)


def test_provenance_tells_source_other_frames_and_generated():
    placement = place((4, 2), pixels=(2, 0, 0, 2), size_multiple=1, canvas_size=32)
    (plain,) = provenance(placement, 3)
    assert plain.dtype == torch.float32
    assert plain.tolist() == [[1, 1, 0, 0, 0, 0]] * 2 + [[1] * 6] * 2
    laid = torch.zeros(3, 4, 6, dtype=torch.bool)
    laid[1, 0, 0] = laid[2, 3] = True
    found = provenance(placement, 3, laid=laid)
    assert found.shape == (3, 4, 6) and torch.equal(found[0], plain)
    assert (found[laid] == 0.5).all() and torch.equal(found[~laid], plain.expand(3, -1, -1)[~laid])


def test_provenance_of_a_masked_source_has_one_mask_for_all_frames_or_one_for_each():
    placement = place((4, 2), pixels=(2, 0, 0, 2), size_multiple=1, canvas_size=32)
    mask = torch.zeros(3, 2, 4)
    mask[1, 0, 3], mask[1, 1, 3] = 0.6, 0.4
    assert len(provenance(placement, 3, torch.zeros(2, 4))) == len(provenance(placement, 3, mask[1])) == 1
    found = provenance(placement, 3, mask)
    assert found.shape == (3, 4, 6) and found[:, 0, 5].tolist() == [0, 1, 0] and not found[:, 1, 5].any()
