"""A fleet: workers, each with a thread here that keeps it busy, and those who ask."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Any, NamedTuple, Protocol

from .hand import FleetError, Give, Hand, Lost, Order, OutOfMemory, Refused
from .packets import BRANCH
from .schedule import Schedule
from .shared import NOBODY

MOST_STARTS = 3
"""A worker that did not start so many times in a row is given up."""


class Heard(NamedTuple):
    """What those who ask hear of a task of theirs: a step of it, its result, or why there is none."""

    number: int
    step: tuple[int, int, bytes] | None = None
    result: bytes | None = None
    error: Exception | None = None


class _Dropped(Exception):
    """Nobody asks for the task any more."""


class _Asker(Protocol):
    def put(self, heard: Heard) -> None:
        """Tell the one who asks, in any thread."""


@dataclass(frozen=True)
class _WorkerAsks:
    """Another worker, which does it itself when it hears of anything but a result."""

    give: Give

    def put(self, heard: Heard) -> None:
        self.give(NOBODY if heard.result is None else heard.result)


@dataclass(eq=False)
class _Task:
    """``once``: it is not done again by another."""

    number: int
    order: Order
    heard: _Asker
    once: bool = False
    dropped: threading.Event = field(default_factory=threading.Event)


class Fleet:
    """Workers that do what several threads ask of them, as a context. Entering it starts them and waits for the first.

    ``at_once``: how many there are, so that much should be asked at a time. ``identity``: who the first one is, and
    ``devices``: the kinds of device that there are.
    """

    def __init__(self, hands: Sequence[Hand]):
        self.at_once = len(hands)
        self.hands = list(hands)
        self._schedule = Schedule()
        self._change = threading.Condition()
        self._present: set[Hand] = set()
        self._hoped_for = set(hands)
        self._said: list[str] = []
        self._closed = False
        self.identity: dict[str, Any] = {}
        self.devices: set[str] = set()

    def __enter__(self) -> Fleet:
        for hand in self.hands:
            threading.Thread(target=self._keep, args=(hand,), name=f"m3ddm {hand.name}", daemon=True).start()
        try:
            with self._change:
                self._change.wait_for(lambda: self._present or not self._hoped_for)
                self._require_workers()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *of_error: object) -> None:
        self.close()

    @property
    def present(self) -> list[Hand]:
        """The workers that have started and not died."""
        with self._change:
            return [hand for hand in self.hands if hand in self._present]

    def wait_for_all(self) -> None:
        """Wait until every worker is there or given up."""
        with self._change:
            self._change.wait_for(lambda: self._present == self._hoped_for)

    def close(self) -> None:
        """End all workers. Whoever still asks hears of it."""
        with self._change:
            self._closed = True
            waiting = self._schedule.stranded(set())
            self._change.notify_all()
        _fail(waiting, "the fleet was closed")
        for hand in self.hands:
            hand.end()

    def ask(self, orders: Iterable[Order], left: float) -> Iterator[Heard]:
        """Have orders done, side by side; yields what is heard of each, under its number, until all are done.

        ``orders`` are taken as they can be handed out, some before they are needed. ``left``: see `Schedule`. Leaving
        the iterator drops what is not done. Errors are raised: `FleetError`.
        """
        coming, heard = enumerate(orders), queue.SimpleQueue()
        asked: dict[int, _Task] = {}
        try:
            while True:
                for number, order in islice(coming, self._room(len(asked))):
                    asked[number] = self._hand_in(_Task(number, order, heard), left)
                if not asked:
                    return
                news = heard.get()
                if news.error is not None:
                    raise news.error
                if news.result is not None:
                    del asked[news.number]
                yield news
        finally:
            self._drop(asked.values())

    def _room(self, asked: int) -> int:
        """How many more tasks one who asks for so many may hand in: no more than keep all workers busy, for each waits
        with all its latents; but always a second one, which is there when the first is done."""
        free = min(self.at_once + 1 - asked, 2 * self.at_once - len(self._schedule))
        return max(free, 2 - asked, 0)

    def one(self, order: Order, left: float) -> bytes:
        """Have one order done."""
        return next(news.result for news in self.ask([order], left) if news.result is not None)

    def _hand_in(self, task: _Task, left: float) -> _Task:
        with self._change:
            self._require_workers()
            self._schedule.add(task, left)
            self._change.notify_all()
        return task

    def _share(self, branch: bytes, give: Give) -> None:
        """Have a branch evaluated by a worker that has nothing to do, if there is one."""
        with self._change:
            # Every task is with a worker, or waits for one.
            idle = not self._closed and len(self._present) > len(self._schedule)
            if idle:
                self._schedule.add(_Task(0, Order(BRANCH, branch), _WorkerAsks(give), once=True), -inf)
                self._change.notify_all()
        if not idle:
            give(NOBODY)

    def _drop(self, tasks: Iterable[_Task]) -> None:
        with self._change:
            for task in tasks:
                task.dropped.set()
                self._schedule.drop(task)

    def _require_workers(self) -> None:
        if self._closed:
            raise FleetError("the fleet was closed")
        if not self._hoped_for:
            raise FleetError(f"got no worker that can be used: {'; '.join(dict.fromkeys(self._said))}")

    def _keep(self, hand: Hand) -> None:
        """Keep a worker at work until the fleet is closed or the worker is given up."""
        failures = 0
        while failures < MOST_STARTS and not self._closed:
            try:
                identity = hand.start()
                self._welcome(hand, identity)
            except Lost as error:
                failures += 1
                self._say(f"{hand.name} did not start: {error}")
                continue
            # Whatever it is, one worker less is no reason to leave those alone who wait for an answer.
            except Exception as error:
                self._say(f"{hand.name}: {error}" if isinstance(error, Refused) else f"{hand.name}: {error!r}")
                break
            failures = 0
            try:
                self._work(hand)
                return
            except Lost as error:
                self._say(f"{hand.name} is gone ({error}); what it was at is done again")
        self._give_up(hand)

    def _welcome(self, hand: Hand, identity: dict[str, Any]) -> None:
        with self._change:
            self.identity = self.identity or identity
            self.devices.add(identity["device"])
            if len(self.devices) == 2:
                logging.warning(
                    "M3DDM: the workers compute on unlike devices (%s): a clip depends, in its last digits, on which "
                    "made it.",
                    ", ".join(sorted(self.devices)),
                )
            self._present.add(hand)
            self._change.notify_all()

    def _work(self, hand: Hand) -> None:
        """Do one task after the other. Raises `Lost`."""
        while (task := self._next(hand)) is not None:

            def on_step(step: int, steps: int, denoised: bytes, task: _Task = task) -> None:
                if task.dropped.is_set() or self._closed:
                    raise _Dropped
                task.heard.put(Heard(task.number, step=(step, steps, denoised)))

            try:
                result = hand.run(task.order, on_step, self._share)
            except Lost as error:
                self._on_death(hand, task, error)
                raise
            except OutOfMemory as error:
                self._on_refusal(hand, task, error)
            except _Dropped:
                self._done(hand)
            # Faults of our own too are for those who ask: with this thread they would wait for ever.
            except Exception as error:
                self._done(hand)
                task.heard.put(Heard(task.number, error=error))
            else:
                self._done(hand)
                task.heard.put(Heard(task.number, result=result))

    def _next(self, hand: Hand) -> _Task | None:
        with self._change:
            while not self._closed:
                task = self._schedule.take(hand)
                if task is not None:
                    return task
                self._change.wait()
        return None

    def _done(self, hand: Hand) -> None:
        with self._change:
            self._schedule.done(hand)

    def _on_death(self, hand: Hand, task: _Task, error: Lost) -> None:
        with self._change:
            self._present.discard(hand)
            if task.once:
                self._schedule.drop(task)
            again = self._schedule.lost(hand) and not task.once
            self._change.notify_all()
        if not again:
            _fail([task], f"every worker that tried one clip died: {error}")

    def _on_refusal(self, hand: Hand, task: _Task, error: OutOfMemory) -> None:
        with self._change:
            if task.once:
                self._schedule.drop(task)
            self._schedule.refused(hand)
            stranded = [task] if task.once else self._schedule.stranded(self._hoped_for)
            self._change.notify_all()
        self._say(f"{hand.name} is out of memory ({error})")
        _fail(stranded, f"no worker has memory enough: {error}")

    def _give_up(self, hand: Hand) -> None:
        with self._change:
            self._hoped_for.discard(hand)
            stranded = self._schedule.stranded(self._hoped_for)
            self._change.notify_all()
        _fail(stranded, f"no worker is left: {'; '.join(dict.fromkeys(self._said))}")

    def _say(self, text: str) -> None:
        if not self._closed:
            self._said.append(text)
            logging.warning("M3DDM: worker %s.", text)


def _fail(tasks: Iterable[_Task], why: str) -> None:
    for task in tasks:
        task.heard.put(Heard(task.number, error=FleetError(why)))
