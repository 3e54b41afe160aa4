"""Several works at once, each in a thread; what they tell is heard in the one that started them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")
Later = Callable[..., None]
"""``later(call, *given)`` has something called in the thread that listens, the next time it does. It raises once
nobody listens any more."""

GRACE_SECONDS = 10.0
"""So long works may take to leave nothing behind when all is stopped."""


class _Stopped(BaseException):
    """Nobody listens any more. No error: what cleans up after errors of the work's own does not take it for one."""


class SideBySide:
    """Works, at most ``most`` at once, as a context; leaving it stops them. With one at a time there are no threads.

    A host's progress bars, and its way of stopping, belong to the thread that runs a node. So works report `Later`.
    """

    def __init__(self, most: int):
        self._most = most
        self._news: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(most)
        self._under_way: set[Future] = set()
        self._stopped = threading.Event()

    def __enter__(self) -> SideBySide:
        return self

    def __exit__(self, *of_error: object) -> None:
        self._stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        wait(self._under_way, GRACE_SECONDS)

    def start(self, work: Callable[[Later], Result], then: Callable[[Result], None]) -> None:
        """Begin a work as soon as there is room, and call ``then(result)`` when it is done and this thread listens.

        Raises what another work, or something it has called, raises meanwhile.
        """
        if self._most == 1:
            then(work(lambda call, *given: call(*given)))
            return
        while len(self._under_way) >= self._most:
            self._news.get()()
        future = self._threads.submit(work, self._later)
        self._under_way.add(future)
        future.add_done_callback(lambda done: self._news.put(partial(self._ended, done, then)))

    def listen(self) -> None:
        """Hear what the works have told until now. Raises what they raise."""
        while not self._news.empty():
            self._news.get()()

    def finish(self) -> None:
        """Wait until all are done. Raises what they raise."""
        while self._under_way:
            self._news.get()()

    def _later(self, call: Callable[..., None], *given: Any) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._news.put(partial(call, *given))

    def _ended(self, future: Future, then: Callable[[Any], None]) -> None:
        self._under_way.discard(future)
        then(future.result())
