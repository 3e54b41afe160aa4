"""A clip that several workers are at: one steps through it, and others evaluate branches of its guidance meanwhile.

Who is at a clip asks at each step for all branches but the first, which it evaluates meanwhile. A worker that has
nothing to do takes one; a branch that nobody takes, or that is lost, is evaluated by the one who asked. So a clip waits
only for a branch that another worker is at, and bits are the same with and without help.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable

from torch import Tensor

from ..sampling.clip import Branches, ClipConditions, Network
from ..sampling.guidance import Branch
from .packets import pack, unpack

NOBODY = b""
"""The answer where nobody helps."""


class Asked:
    """What a worker has asked for and not been answered yet. Answers may come in any thread."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._open: dict[int, queue.SimpleQueue[bytes]] = {}
        self._given_up = False
        self._change = threading.Lock()

    def begin(self) -> None:
        """There may be help, until it is given up."""
        with self._change:
            self._given_up = False

    def ask(self, send: Callable[[int], None]) -> Callable[[], bytes]:
        """Have ``send(number)`` ask; returns what waits for the answer."""
        answers = queue.SimpleQueue()
        with self._change:
            number = next(self._numbers)
            self._open[number] = answers
            given_up = self._given_up
        if given_up:
            self.answer(number, NOBODY)
        else:
            send(number)
        return answers.get

    def answer(self, number: int, packed: bytes) -> None:
        """Give an answer, once. One that nobody waits for any more is nothing."""
        with self._change:
            answers = self._open.pop(number, None)
        if answers is not None:
            answers.put(packed)

    def give_up(self) -> None:
        """Nobody helps any more, nor will."""
        with self._change:
            self._given_up = True
            waiting = list(self._open)
        for number in waiting:
            self.answer(number, NOBODY)


class SharedBranches(Branches):
    """As `Branches` has it, with the help of others. ``ask(packed)`` asks for a branch and returns what waits for the
    packed answer. For a branch that nobody took they are not asked again in this clip: they have other work."""

    def __init__(self, network: Network, conditions: ClipConditions, ask: Callable[[bytes], Callable[[], bytes]]):
        super().__init__(network, conditions)
        self._ask = ask
        self._own: set[Branch] = set()

    def all(self, x: Tensor, level: float, branches: tuple[Branch, ...]) -> dict[Branch, Tensor]:
        """As `Branches` has it."""
        # The last is asked for first: it is the one that is waited for last.
        wanted = [branch for branch in reversed(branches[1:]) if branch not in self._own]
        asked = {branch: self._ask(pack(**self.inputs(x, level, branch)._asdict())) for branch in wanted}
        predictions = {}
        for branch in branches:
            answer = asked[branch]() if branch in asked else NOBODY
            if answer == NOBODY:
                self._own.add(branch)
                predictions[branch] = self.one(x, level, branch)
            else:
                predictions[branch] = unpack(answer)["result"].to(x)
        return predictions
