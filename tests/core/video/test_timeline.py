"""When frames are shown: time stamps made sense of, cut and asked for by the second."""

from __future__ import annotations

from fractions import Fraction

import pytest

from m3ddm_core.video.timeline import Timeline

BASE, RATE = Fraction(1, 1000), Fraction(25)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 40, 80], (0, 40, 80)),
        ([500, 540, 700], (0, 40, 200)),
        ([None, None, None], (0, 40, 80)),
        ([100, None, 180], (0, 40, 80)),
        ([None, 140], (0, 40)),
        ([0, 0, 0], (0, 40, 80)),
        ([40, 160, 120, 200, 80], (0, 40, 80, 120, 160)),
        ([0, 40, 80, 0, 40, 80], (0, 40, 80, 120, 160, 200)),
        ([*range(0, 800, 40), *range(20, 820, 40)], tuple(range(0, 1600, 40))),
        ([None, None, 0, 40, 100], (0, 40, 80, 120, 180)),
        ([0, 40, 4_000_000, 4_000_040], (0, 40, 80, 120)),
        ([0], (0,)),
    ],
)
def test_stamps_always_rise_from_zero(stamps, times):
    assert Timeline.of(stamps, 40, BASE, RATE).times == times


@pytest.mark.parametrize(("last", "end"), [(40, 120), (300, 380), (0, 120)])
def test_the_last_frame_has_its_own_duration(last, end):
    timeline = Timeline.of([0, 40, 80], last, BASE, RATE)
    assert timeline.end == end and timeline.second(3) == timeline.seconds == end / 1000


def test_even_times_are_exact_for_rates_that_are_no_whole_numbers():
    timeline = Timeline.even(30_000, Fraction(30_000, 1001))
    assert timeline.seconds == 1001.0 and timeline.second(15_000) == 500.5


def test_a_part_begins_at_zero_and_keeps_its_gaps():
    timeline = Timeline.of([0, 40, 200, 240], 40, BASE, RATE)
    part = timeline.cut(1, 3)
    assert part.times == (0, 160) and part.end == 200
    assert timeline.cut(2, 4).end == 80


@pytest.mark.parametrize(
    ("start", "duration", "frames"),
    [(0, 0, (0, 4)), (0.04, 0, (1, 4)), (0.05, 0, (2, 4)), (0, 0.2, (0, 2)), (0.04, 0.17, (1, 3)), (9, 0, (4, 4))],
)
def test_frames_are_found_by_the_second(start, duration, frames):
    assert Timeline.of([0, 40, 200, 240], 40, BASE, RATE).between(start, duration) == frames
