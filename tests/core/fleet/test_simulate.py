"""The simulated fleet: closed forms, bounds, and the service itself over workers that sleep."""

from __future__ import annotations

import heapq
import itertools
import threading

import pytest

from m3ddm_core.fleet.fleet import Fleet
from m3ddm_core.fleet.models import FleetSampler
from m3ddm_core.fleet.simulate import CHAIN, DRIVER, WORK, Costs, simulate, waves_of
from m3ddm_core.outpaint.stages import outpaint_video
from m3ddm_core.sampling.settings import SamplingSettings
from tests.core.fleet.test_fleet import Inside
from tests.helpers.blank_states import make_state

CLIP = Costs(clip=1.0)


def test_one_worker_takes_as_long_as_the_clips_together():
    outcome = simulate([(300,), (40,), (100, 20)], [1.0], CLIP)
    clips = sum(sum(waves_of(length)) for length in (300, 40, 100, 20))
    assert outcome.seconds == clips and outcome.efficiency == 1 and outcome.bound == WORK
    assert len(outcome.finished) == 3


def test_a_video_is_never_faster_than_its_chain():
    outcome = simulate([(300,)], [1.0] * 1000, CLIP)
    assert outcome.seconds == len(waves_of(300)) == CLIP.of_chain((300,)) and outcome.bound == CHAIN


SHARED = Costs(clip=3.0, branches=3)
"""Waves of 300 frames have 1, 1, 4 and 20 clips; each has three parts of a second."""


@pytest.mark.parametrize(
    ("workers", "seconds"),
    [
        (1, 26 * 3),
        (2, 2 + 2 + 2 * 3 + 10 * 3),
        # Four clips: three, and one that three share. Twenty: eighteen, one that two share, and one alone meanwhile.
        (3, 1 + 1 + (3 + 1) + (6 * 3 + 3)),
        (60, 1 + 1 + 1 + 1),
        (1000, 1 + 1 + 1 + 1),
    ],
)
def test_a_clip_is_shared_by_workers_that_have_nothing_to_do(workers, seconds):
    outcome = simulate([(300,)], [1.0] * workers, SHARED)
    assert outcome.seconds == pytest.approx(seconds)
    assert (outcome.bound == CHAIN) == (workers >= 60)


def test_help_ends_where_there_is_something_else_to_do():
    """A longer video is still read while the only clip of a shorter one is shared; then both go on alone."""
    costs = Costs(clip=6.0, read=1.0, branches=2)
    # By two from 14 to 16: that is 4 of its 6 seconds.
    outcome = simulate([(14,), (16,)], [1.0, 1.0], costs, drivers=2)
    assert waves_of(14) == waves_of(16) == (1,) and outcome.finished == (18.0, 22.0)


def test_videos_that_come_at_one_moment_are_counted_once_each():
    """Three of five are sampled at first, then two, one of which the third worker helps."""
    outcome = simulate([(16,)] * 5, [1.0] * 3, SHARED)
    assert outcome.seconds == pytest.approx(3 + 3) and len(outcome.finished) == 5


@pytest.mark.parametrize("branches", [1, 3])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_no_run_beats_its_bounds_and_greedy_is_within_twice(workers, branches):
    """Graham's bound (1966) for handing out whatever is ready: work / workers + chain."""
    videos = [(300,), (40, 60), (16,), (150, 150), (64,)] * 3
    costs = Costs(1.0, encode=0.01, decode=0.02, branches=branches)
    outcome = simulate(videos, [1.0] * workers, costs)
    work = sum(map(costs.of_workers, videos)) / workers
    chain = max(map(costs.of_chain, videos))
    assert max(work, chain) <= outcome.seconds + 1e-9
    assert outcome.seconds <= work + len(videos) / workers * chain + chain


def test_twice_as_fast_is_half_as_long_and_a_slow_worker_helps():
    videos = [(300,)] * 4
    assert simulate(videos, [2.0, 2.0], CLIP).seconds == simulate(videos, [1.0, 1.0], CLIP).seconds / 2
    assert simulate(videos, [1.0, 0.25], CLIP).seconds < simulate(videos, [1.0], CLIP).seconds


def test_the_driver_bounds_what_it_must_do_by_itself():
    costs = Costs(1.0, read=0.05, write=0.05)
    outcome = simulate([(300,)] * 10, [1.0] * 100, costs)
    assert outcome.bound == DRIVER and outcome.seconds >= 10 * 300 * 0.1
    several = simulate([(300,)] * 10, [1.0] * 100, costs, drivers=10)
    assert several.bound == CHAIN and several.seconds < outcome.seconds / 5


def test_videos_come_out_one_after_the_other():
    outcome = simulate([(300,)] * 8, [1.0] * 2, CLIP)
    assert outcome.finished == tuple(sorted(outcome.finished))
    assert outcome.finished[0] < outcome.seconds / 3, "not all at the end"


class Clock:
    """Time that only passes when every worker that has something to do is at it."""

    def __init__(self, workers: int, waves: tuple[int, ...]):
        self.now = 0.0
        self._workers, self._missing = workers, list(waves)
        self._asleep: list[tuple[float, int]] = []
        self._count = itertools.count()
        self._change = threading.Condition()

    def sleep(self, seconds: float) -> None:
        with self._change:
            sleeper = (self.now + seconds, next(self._count))
            heapq.heappush(self._asleep, sleeper)
            self._wake()
            # Waiting ends by itself only where the service leaves a worker idle that could work.
            assert self._change.wait_for(lambda: sleeper not in self._asleep, timeout=60)

    def _wake(self) -> None:
        while self._asleep and len(self._asleep) == min(self._workers, self._missing[0]):
            self.now, _ = heapq.heappop(self._asleep)
            self._missing[0] -= 1
            if not self._missing[0]:
                del self._missing[0]
        self._change.notify_all()


def serve(length: int, speeds: tuple[float, ...]) -> tuple[float, list[int]]:
    """What the service takes for a video of so many frames, in seconds of a clock of its workers' own, and how many
    clips each of them made."""
    clock = Clock(len(speeds), waves_of(length))

    def sleeper(speed):
        def sample(conditions, start, noise, callback):
            clock.sleep(CLIP.clip / speed)
            return start

        return sample

    hands = [Inside(str(number), sample=sleeper(speed)) for number, speed in enumerate(speeds)]
    with Fleet(hands) as fleet:
        fleet.wait_for_all()
        outpaint_video(make_state(length), FleetSampler(fleet, SamplingSettings(), 0), seed=0)
    return clock.now, [hand.count for hand in hands]


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_the_service_takes_as_long_as_simulated(workers):
    """How long it takes by a real clock is benchmarks/fleet_speed.py's to measure."""
    speeds = (1.0,) * workers
    assert serve(300, speeds)[0] == simulate([(300,)], speeds, CLIP).seconds


def test_the_service_keeps_workers_of_unequal_speed_busy():
    """Which free worker asks first is chance in the service; Graham's bound holds for any."""
    speeds = (1.0, 1.0, 0.5, 0.5)
    slowest, work = CLIP.of_chain((300,)) / min(speeds), CLIP.of_workers((300,)) / sum(speeds)
    assert work <= serve(300, speeds)[0] <= work + slowest


def test_a_slow_worker_does_less_and_nobody_waits_for_it():
    """While it is at one clip of a wave, the other makes the rest of them."""
    _, (slow, fast) = serve(300, (0.05, 1.0))
    assert slow <= len(waves_of(300)) < fast and slow + fast == sum(waves_of(300))
