"""The last layer: known pixels over generated ones, blended where they meet."""

from __future__ import annotations

import torch

from m3ddm_core.canvas.placement import place
from m3ddm_core.composite.compositor import composite
from m3ddm_core.composite.seen_layer import lay_over

PLACEMENT = place((32, 24), pixels=(16, 0, 16, 0), canvas_size=64, canvas_shape="target")


def frames():
    """A grey source, a black generated frame, and the two finished with a soft edge of 4 pixels."""
    source, generated = torch.full((1, 24, 32, 3), 0.5), torch.zeros(1, 24, 64, 3)
    return source[0], composite(source, generated, PLACEMENT, feather=4)[0]


def test_what_is_known_is_laid_over_and_fades_into_what_is_not():
    source, finished = frames()
    known, pixels = torch.zeros(24, 64, dtype=torch.bool), torch.full((24, 64, 3), 0.5)
    known[:, 6:16] = True
    result = lay_over(finished, source, pixels, known, PLACEMENT, feather=4)
    row = result[12, :, 0]
    assert (row[:6] == 0).all() and (row[6:10].diff() > 0).all() and row[6] < 0.1
    torch.testing.assert_close(row[9:40], torch.full((31,), 0.5), msg="the source meets it without a soft edge")
    torch.testing.assert_close(result[:, 32:], finished[:, 32:], rtol=0, atol=0)


def test_where_nothing_is_known_all_bits_stay():
    source, finished = frames()
    nothing, pixels = torch.zeros(24, 64, dtype=torch.bool), torch.ones(24, 64, 3)
    assert lay_over(finished, source, pixels, nothing, PLACEMENT, feather=4) is finished
    nothing[20:, :4] = True
    result = lay_over(finished, source, pixels, nothing, PLACEMENT, feather=4)
    assert torch.equal(result[:19], finished[:19]) and torch.equal(result[:, 4:], finished[:, 4:])


def test_without_a_feather_known_pixels_stand_as_they_are():
    source, _ = frames()
    finished = composite(source[None], torch.zeros(1, 24, 64, 3), PLACEMENT, feather=0)[0]
    known, pixels = torch.zeros(24, 64, dtype=torch.bool), torch.rand(24, 64, 3, generator=torch.manual_seed(0))
    known[3:9, 50:60] = True
    result = lay_over(finished, source, pixels, known, PLACEMENT, feather=0)
    assert torch.equal(result[known], pixels[known]) and torch.equal(result[~known], finished[~known])
