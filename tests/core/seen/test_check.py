"""How strictly motions are judged by what was tried of them."""

from __future__ import annotations

import torch

from m3ddm_core.seen.align import Pairs
from m3ddm_core.seen.camera import Stretch
from m3ddm_core.seen.check import STRICTNESS, Checks, Tried, Verdict
from m3ddm_core.seen.motions import Freedom, Window, motion_of

INNER, WHOLE = Window((48, 64), (48, 64)), Window((64, 64), (64, 64))


def moving(window: Window, pixels: float) -> Tried:
    """A camera that moves by so many pixels a frame, seen through a window."""
    steps = torch.arange(24, dtype=torch.float64) * pixels / window.scale[0]
    path = motion_of(torch.stack([steps, *torch.zeros(3, 24, dtype=torch.float64)], dim=-1))
    return Tried(Stretch(0, path, Pairs(*torch.zeros(7, 0)), Freedom()), window)


def test_each_motion_has_the_verdict_of_the_one_like_it():
    checks = Checks([Verdict(1.0, ""), Verdict(0.0, "")], [[moving(INNER, 3)], [moving(INNER, 1)]])
    assert checks.of([moving(WHOLE, 3), moving(WHOLE, 1)]) == [1.0, 0.0]
    # One that is like none of them might be hidden by the worst of them.
    assert checks.of([moving(WHOLE, 3), moving(WHOLE, 2)]) == [1.0, 0.0]


def test_a_single_motion_is_the_single_one_that_was_tried():
    assert Checks([Verdict(1.0, "")], [[moving(INNER, 3)]]).of([moving(WHOLE, 2.5)]) == [1.0]


def test_of_several_motions_only_the_one_like_the_single_one_that_was_tried_has_its_verdict():
    tried = [[moving(INNER, 3)]]
    found = [moving(WHOLE, 3), moving(WHOLE, 1)]
    assert Checks([Verdict(1.0, "")], tried).of(found) == [1.0, STRICTNESS[1]]
    assert Checks([Verdict(0.45, "")], tried).of(found) == [0.45, 0.45]
    assert Checks([Verdict(STRICTNESS[1], "too small")], [[]]).of(found) == [STRICTNESS[1]] * 2
