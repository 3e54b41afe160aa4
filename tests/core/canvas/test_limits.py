"""Targets that no encoder takes, or this machine's memory, are refused where they are asked for."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.canvas import limits
from m3ddm_core.canvas.limits import MOST_AREA, MOST_SIDE, memory_of_machine
from m3ddm_core.canvas.move import move_frames
from m3ddm_core.canvas.placement import place


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ((48, 64), {"pixels": (16338, 0, 0, 0)}),
        ((48, 64), {"pixels": (0, 0, 0, 16322)}),
        ((48, 64), {"pixels": (16384, 16384, 16384, 16384)}),
        ((48, 64), {"pixels": (16000, 16000, 0, 0)}),
        ((1080, 1920), {"ratio": "100:1"}),
        ((20000, 64), {"ratio": "16:9"}),
        ((9000, 9000), {"ratio": "16:9"}),
    ],
)
def test_a_target_beyond_what_encoders_take_is_refused(source, asked):
    with pytest.raises(
        ValueError, match=r"got a target of \d+x\d+, expected at most 16384 pixels a side and 134,217,728"
    ):
        place(source, **asked)


def test_the_largest_there_are_are_taken():
    assert place((48, 64), pixels=(MOST_SIDE - 48, 0, 0, 0)).target == (MOST_SIDE, 64)
    assert place((7680, 4320), ratio="16:9").target == (7680, 4320)
    assert place((1920, 4320), ratio="16:9").target == (7680, 4320)
    assert place((8640, 8640), ratio="16:9", size_multiple=1).target == (15360, 8640)
    assert MOST_AREA >= 15360 * 8640


@pytest.mark.parametrize(("size", "message"), [(2056, "2048 pixels at most"), (1, "8 or more"), (129, "try 128")])
def test_a_canvas_beyond_what_can_be_sampled_is_refused(size, message):
    with pytest.raises(ValueError, match=rf"got canvas_size={size}, expected .*{message}"):
        place((64, 64), ratio="16:9", canvas_size=size)


def test_what_is_more_than_the_machine_has_is_refused(monkeypatch):
    assert memory_of_machine() > 2**28
    monkeypatch.setattr(limits, "memory_of_machine", lambda: 10**9)
    limits.require_memory_to_write(1000, (1920, 1080))
    limits.require_memory_to_hold(40, (1920, 1080))
    with pytest.raises(ValueError, match=r"got a target of 7680x4320, which takes about 8\.7 GB, .* the 1\.0 GB that"):
        limits.require_memory_to_write(1000, (7680, 4320))
    with pytest.raises(
        ValueError, match=r"got 41 frames of 1920x1080, all in memory .* 1\.0 GB.* M3DDM Outpaint Video"
    ):
        limits.require_memory_to_hold(41, (1920, 1080))
    with pytest.raises(ValueError, match="got 2 frames of 9000x9000"):
        move_frames(torch.zeros(2, 4, 4, 3), [(0, 0)] * 2, (9000, 9000))
    monkeypatch.setattr(limits, "memory_of_machine", lambda: None)
    limits.require_memory_to_write(1000, (7680, 4320))
