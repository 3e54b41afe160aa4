"""The benchmark of a scene made again, in small, and what it calls a changed scene."""

from __future__ import annotations

import pytest

from benchmarks.scene_redo import CHANGES, changed_scenes, measure

pytestmark = pytest.mark.usefixtures("small_globals")


def test_each_run_is_told_of():
    told = []
    measure(3, 9, "off", told.append)
    board, whole, *again = told
    assert board["scenes"] == 3 and board["passes"] == 1 and board["network"] == 0
    assert whole["network"] == 3 and len(again) == len(CHANGES)
    for run in again:
        assert run["network"] == 1 and run["scenes_with_another_packet"] == [1]
        assert 0 < 3 * run["encoded"] <= whole["encoded"] and 0 < 3 * run["decoded"] <= whole["decoded"]


def test_a_byte_a_time_and_a_packet_that_is_missing_are_changes():
    before = [(number, number, b"a") for number in range(6)]
    assert changed_scenes(before, list(before), 2) == []
    assert changed_scenes(before, [*before[:3], (3, 3, b"b"), *before[4:]], 2) == [1]
    assert changed_scenes(before, [(9, 0, b"a"), *before[1:5]], 2) == [0, 2]
