"""How long a fleet takes, computed: the schedule of the service over workers that only count seconds.

What a driver does by itself (reading, canvases, putting frames together, writing) it does one thing after the other.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from math import ceil, inf

from ..outpaint.plan import plan_video
from .schedule import Schedule


@dataclass(frozen=True)
class Costs:
    """Seconds: of a worker for a clip, and for a frame to be encoded and decoded; of the driver for a frame to be read
    and made a canvas of, for a clip to be handed out and taken back, and for a frame to be finished and written.

    ``branches``: how many evaluations of the network a step of a clip has, which as many workers can share (`shared`).
    """

    clip: float
    encode: float = 0.0
    decode: float = 0.0
    read: float = 0.0
    hand: float = 0.0
    write: float = 0.0
    branches: int = 1

    def of_workers(self, scenes: Sequence[int]) -> float:
        """Seconds that one worker needs for a video of scenes of so many frames."""
        frames = sum(scenes)
        return frames * (self.encode + self.decode) + self.clip * sum(sum(waves_of(length)) for length in scenes)

    def of_driver(self, scenes: Sequence[int]) -> float:
        """Seconds that the driver needs for such a video."""
        frames = sum(scenes)
        return frames * (self.read + self.write) + self.hand * sum(sum(waves_of(length)) for length in scenes)

    def of_chain(self, scenes: Sequence[int]) -> float:
        """Seconds that such a video takes with as many workers as it likes: frames are read, encoded, decoded and
        written in order, and waves follow one another."""
        through = [length * (self.read + self.encode) for length in scenes]
        clip = self.clip / self.branches
        ends = [sum(through[: number + 1]) + clip * len(waves_of(scenes[number])) for number in range(len(scenes))]
        return max(ends) + sum(scenes) * (self.decode + self.write)


@dataclass(frozen=True)
class Outcome:
    """``seconds`` until all is done; ``finished``: when each video was, in the order in which they were."""

    seconds: float
    finished: tuple[float, ...]
    efficiency: float
    bound: str


WORK, CHAIN, DRIVER = "work", "chain", "driver"
"""What bounds a run: how much workers there are for it, what of one video follows on another, or the driver."""


@cache
def waves_of(length: int) -> tuple[int, ...]:
    """How many clips each wave of a scene has, wave after wave."""
    return tuple(len(wave) for stage in plan_video(length) for wave in stage)


def simulate(videos: Sequence[Sequence[int]], speeds: Sequence[float], costs: Costs, drivers: int = 1) -> Outcome:
    """Run videos, each given as the lengths of its scenes, on workers that are so many times as fast as ``costs`` has
    it. As many videos, and scenes of each, are under way as there are workers; ``drivers`` share what is the driver's
    to do."""
    run = _Run(costs, list(speeds), drivers)
    run.run(videos)
    seconds, capacity = run.now, sum(speeds)
    work = sum(costs.of_workers(scenes) for scenes in videos)
    bounds = {
        WORK: work / capacity,
        CHAIN: max(costs.of_chain(scenes) for scenes in videos),
        DRIVER: sum(costs.of_driver(scenes) for scenes in videos) / drivers,
    }
    return Outcome(seconds, tuple(run.finished), work / (capacity * seconds), max(bounds, key=bounds.get))


@dataclass(eq=False)
class _Task:
    """``branches``: how many of its parts can be done at once."""

    seconds: float
    then: Callable[[], None]
    branches: int = 1


@dataclass(eq=False)
class _Work:
    """A task with a worker: seconds that it still takes one alone as of a moment, how many help, and how often its end
    was reckoned: the last counts."""

    task: _Task
    worker: int
    left: float
    since: float
    helpers: int = 0
    reckoned: int = 0

    @property
    def at_once(self) -> float:
        """Times as fast as alone: the worker with the most branches is waited for."""
        return self.task.branches / ceil(self.task.branches / (1 + self.helpers))


@dataclass(eq=False)
class _Video:
    scenes: Sequence[int]
    clips: int
    under_way: int = 0
    sampled: int = 0
    coming: deque[int] = field(default_factory=deque)


class _Run:
    """The clock, the workers and the drivers."""

    def __init__(self, costs: Costs, speeds: list[float], drivers: int):
        self.costs, self.speeds = costs, speeds
        self.now = 0.0
        self.finished: list[float] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._schedule = Schedule()
        # The fastest of the free ones is asked first.
        self._free = [(-speed, number) for number, speed in enumerate(speeds)]
        heapq.heapify(self._free)
        self._helped: list[_Work] = []
        self._drivers_free = [0.0] * drivers

    def run(self, videos: Sequence[Sequence[int]]) -> None:
        """Run until all videos are done."""
        waiting = iter(videos)
        for _ in self.speeds:
            self._next_video(waiting)
        while self._events:
            self.now, _, then = heapq.heappop(self._events)
            then()
            # What happens at one moment is all heard of before anything is handed out.
            if not self._events or self._events[0][0] > self.now:
                self._hand_out()

    def _next_video(self, waiting: Iterator[Sequence[int]]) -> None:
        scenes = next(waiting, None)
        if scenes is None:
            return
        video = _Video(scenes, sum(sum(waves_of(length)) for length in scenes), coming=deque(scenes))
        self._read(video, partial(self._next_video, waiting))

    def _read(self, video: _Video, then: Callable[[], None]) -> None:
        """Read and encode the next scene of a video, and sample it; and so on while there is room for more of them."""
        if not video.coming or video.under_way >= len(self.speeds):
            return
        length = video.coming.popleft()
        video.under_way += 1

        def encoded() -> None:
            self._sample(video, list(waves_of(length)), then)
            self._read(video, then)

        self._drive(length * self.costs.read, lambda: self._ask(length * self.costs.encode, inf, encoded))

    def _sample(self, video: _Video, waves: list[int], then: Callable[[], None]) -> None:
        if not waves:
            self._sampled(video, then)
            return
        missing = [waves[0]]

        def done() -> None:
            video.clips -= 1
            missing[0] -= 1
            if not missing[0]:
                self._sample(video, waves[1:], then)

        for _ in range(waves[0]):
            clip = _Task(self.costs.clip, done, self.costs.branches)
            self._drive(self.costs.hand, partial(self._add, clip, video.clips))

    def _sampled(self, video: _Video, then: Callable[[], None]) -> None:
        video.under_way -= 1
        video.sampled += 1
        # While the room was taken, nothing was read.
        if video.under_way == len(self.speeds) - 1:
            self._read(video, then)
        if video.sampled == len(video.scenes):
            self._finish(list(video.scenes), then)

    def _finish(self, scenes: list[int], then: Callable[[], None]) -> None:
        if not scenes:
            self.finished.append(self.now)
            then()
            return
        length = scenes[0]
        rest = partial(self._finish, scenes[1:], then)
        self._ask(length * self.costs.decode, 0.0, lambda: self._drive(length * self.costs.write, rest))

    def _ask(self, seconds: float, left: float, then: Callable[[], None]) -> None:
        self._add(_Task(seconds, then), left)

    def _add(self, task: _Task, left: float) -> None:
        self._schedule.add(task, left)
        self._at(self.now, lambda: None)

    def _hand_out(self) -> None:
        begun = []
        while self._free:
            number = self._free[0][1]
            task = self._schedule.take(number)
            if task is None:
                break
            heapq.heappop(self._free)
            begun.append(_Work(task, number, task.seconds, self.now))
        self._call_off_helpers()
        for work in begun:
            work.helpers = min(self._idle(), work.task.branches - 1)
            if work.helpers:
                self._helped.append(work)
            self._end_of(work)

    def _idle(self) -> int:
        """How many workers have no task and help nobody."""
        return len(self._free) - sum(work.helpers for work in self._helped)

    def _call_off_helpers(self) -> None:
        """Helpers have tasks of their own now; who was helped goes on with fewer, and asks for no other."""
        while self._idle() < 0:
            work = self._helped[-1]
            work.left -= (self.now - work.since) * work.at_once * self.speeds[work.worker]
            work.since = self.now
            work.helpers -= min(work.helpers, -self._idle())
            if not work.helpers:
                self._helped.pop()
            self._end_of(work)

    def _end_of(self, work: _Work) -> None:
        end = work.since + work.left / (work.at_once * self.speeds[work.worker])
        work.reckoned += 1
        self._at(end, partial(self._done, work, work.reckoned))

    def _done(self, work: _Work, reckoned: int) -> None:
        if reckoned != work.reckoned:
            return  # It took longer, for its helpers went away.
        if work.helpers:
            self._helped.remove(work)
        self._schedule.done(work.worker)
        heapq.heappush(self._free, (-self.speeds[work.worker], work.worker))
        work.task.then()

    def _drive(self, seconds: float, then: Callable[[], None]) -> None:
        end = max(heapq.heappop(self._drivers_free), self.now) + seconds
        heapq.heappush(self._drivers_free, end)
        self._at(end, then)

    def _at(self, moment: float, then: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, then))
