"""Time left: what counts, and how it is said."""

from __future__ import annotations

import time

import pytest

from m3ddm_core.outpaint.time_left import Pace, spoken, time_left


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_the_first_report_pays_for_loading_and_does_not_count(clock):
    pace = Pace()
    assert pace.seconds_for(10) is None
    for done, seconds in ((1, 60.0), (2, 2.0), (4, 4.0), (5, 2.0)):
        clock.now += seconds
        pace.reached(done)
    assert pace.seconds_for(10) == pytest.approx(20.0)


def test_a_pause_and_what_comes_right_after_it_do_not_count(clock):
    pace = Pace()
    for done in (1, 2, 3):
        clock.now += 1.0
        pace.reached(done)
    pace.pause()
    clock.now += 500.0
    pace.reached(4)
    clock.now += 1.0
    pace.reached(5)
    assert (pace.seconds, pace.units) == (pytest.approx(3.0), 3)


def test_one_report_says_nothing_yet():
    pace = Pace()
    pace.reached(1)
    assert pace.seconds_for(3) is None and pace.seconds_for(0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (7.4, "7 s"),
        (22, "20 s"),
        (57, "55 s"),
        (58, "1 min"),
        (89, "1 min"),
        (3540, "59 min"),
        (3599, "1 h"),
        (7900, "2 h 10 min"),
        (7190, "2 h"),
        (90_000, "25 h"),
    ],
)
def test_times_are_said_as_people_say_them(seconds, words):
    assert spoken(seconds) == words


def test_what_is_left_is_the_sum_of_its_parts_once_all_are_known():
    assert time_left(200.0, 40.0) == ", about 4 min left"
    assert time_left(2.0) == ", a few seconds left"
    assert time_left(200.0, None) == time_left(None) == ""
