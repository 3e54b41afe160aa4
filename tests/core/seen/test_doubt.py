"""What is claimed, what is only likely, and what is neither."""

from __future__ import annotations

from dataclasses import replace

import torch

from m3ddm_core.seen.ask import Answer
from m3ddm_core.seen.border import Border
from m3ddm_core.seen.doubt import confidence_of, doubt
from m3ddm_core.seen.motions import Window
from m3ddm_core.seen.recipe import CONFIDENT, LIKELY

BORDER = Border(Window((32, 32), (32, 32)), (-16, 0, 64, 32))
PIXELS = len(BORDER.pixels)


def answered(**fields: float) -> Answer:
    """An answer that nothing speaks against, but for some fields, for all pixels of the border."""
    certain = dict(count=9, spread=0.004, seam=0.004, texture=0.004, span=1.0, moving=0.0, beside=0.0, passing=0.0)
    values = {name: torch.full((PIXELS,), float(value)) for name, value in (certain | fields).items()}
    return Answer(offset=torch.ones(PIXELS, dtype=torch.long), colour=torch.zeros(PIXELS, 3), **values)


def confidence(answer: Answer) -> float:
    """Of all pixels, which are alike."""
    found = confidence_of(doubt(answer, 0.0), BORDER)
    assert (found == found[0]).all()
    return found[0].item()


def test_what_nothing_speaks_against_is_claimed():
    assert confidence(answered()) > 0.9


def test_what_may_be_covered_is_likely_and_not_claimed():
    for field in ("moving", "beside", "passing"):
        assert LIKELY <= confidence(answered(**{field: 0.75})) < CONFIDENT


def test_what_is_far_off_inside_the_frame_is_neither():
    assert confidence(answered(seam=0.2)) < LIKELY


def test_what_no_frame_shows_is_neither():
    nothing = replace(answered(), offset=torch.zeros(PIXELS, dtype=torch.long))
    assert confidence(nothing) == 0


def test_pixels_lie_as_far_beyond_the_window_as_their_side_of_it():
    pictures = BORDER.spread(BORDER.beyond, 0.0)
    assert pictures[5, 0] == 16 / 32 and pictures[5, 15] == 1 / 32 and pictures[5, 63] == 16 / 32
    assert pictures[:, 16:48].sum() == 0
