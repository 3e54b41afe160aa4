"""Who does what next: tasks that wait, and workers that are free. Names and numbers only, the same in service and in
simulation.

A free worker gets the task whose video is nearest to done, and of one video the one that came first. So videos come out
one after the other and not all at the end, and none waits while anything is to be done: a task is only ever handed in
when all that it depends on is there.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Set
from dataclasses import dataclass, field

MOST_DEATHS = 12
"""A task whose workers died so many times over is not given to another: it may be what kills them."""


@dataclass
class _Task:
    left: float
    number: int
    deaths: int = 0
    refused_by: set[Hashable] = field(default_factory=set)


class Schedule:
    """Tasks by name, each waiting, with one worker, or gone."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Hashable]] = []
        self._tasks: dict[Hashable, _Task] = {}
        self._with: dict[Hashable, Hashable] = {}
        self._came = 0

    def __len__(self) -> int:
        """How many tasks are not done."""
        return len(self._tasks)

    def add(self, task: Hashable, left: float) -> None:
        """Hand in a task that can be done now; ``left``: how much is left of its video, itself included."""
        self._tasks[task] = _Task(left, self._came)
        self._came += 1
        self._wait(task)

    def take(self, worker: Hashable) -> Hashable | None:
        """Give a free worker what it is to do now; None if nothing waits that it could do."""
        passed_over = []
        found = None
        while self._waiting and found is None:
            entry = heapq.heappop(self._waiting)
            task = self._tasks.get(entry[2])
            if task is None or task.number != entry[1]:
                continue  # Dropped while it waited.
            if worker in task.refused_by:
                passed_over.append(entry)
            else:
                found = entry[2]
        for entry in passed_over:
            heapq.heappush(self._waiting, entry)
        if found is not None:
            self._with[worker] = found
        return found

    def done(self, worker: Hashable) -> None:
        """A worker has finished its task."""
        self._tasks.pop(self._with.pop(worker), None)

    def lost(self, worker: Hashable) -> bool:
        """A worker died: its task waits again, before those that came later. False if it died too many deaths."""
        name = self._with.pop(worker, None)
        task = self._tasks.get(name)
        if task is None:
            return True
        task.deaths += 1
        if task.deaths >= MOST_DEATHS:
            del self._tasks[name]
            return False
        self._wait(name)
        return True

    def refused(self, worker: Hashable) -> None:
        """A worker cannot do its task: it waits for another one."""
        name = self._with.pop(worker)
        if name in self._tasks:
            self._tasks[name].refused_by.add(worker)
            self._wait(name)

    def stranded(self, workers: Set[Hashable]) -> list[Hashable]:
        """Drop the tasks that none of these workers, all there are, can do, and return them."""
        gone = [name for name, task in self._tasks.items() if workers <= task.refused_by]
        for name in gone:
            del self._tasks[name]
        return gone

    def drop(self, task: Hashable) -> None:
        """Nobody asks for a task any more."""
        self._tasks.pop(task, None)

    def _wait(self, name: Hashable) -> None:
        task = self._tasks[name]
        heapq.heappush(self._waiting, (task.left, task.number, name))
