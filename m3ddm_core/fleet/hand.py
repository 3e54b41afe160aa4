"""What a fleet asks of a worker, wherever that is, and what it may hear in place of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

OnStep = Callable[[int, int, bytes], None]
"""``on_step(step, steps, denoised)``: latents packed as under `packets`; it raises to stop the work."""

Give = Callable[[bytes], None]
"""``give(packed)``: the answer to one question of a worker, or `shared.NOBODY`; called once, in any thread."""

OnAsk = Callable[[bytes, Give], None]
"""``on_ask(packed, give)``: the worker asks for a branch that another may evaluate. It returns at once."""


@dataclass(frozen=True)
class Order:
    """What is to be done: one of `packets`' kinds, packed tensors, and how: settings and seed as plain values."""

    what: str
    packed: bytes
    how: Mapping[str, Any] = field(default_factory=dict)


class Lost(Exception):
    """The worker is gone, and with it what it was doing; it may come back."""


class Refused(Exception):
    """The worker cannot be of this fleet, or cannot be had at all."""


class OutOfMemory(Exception):
    """The worker has too little memory for what it is asked, however small the parts."""


class FleetError(ValueError):
    """The fleet cannot do what it is asked."""


class Hand(Protocol):
    """A worker. All methods are called by one thread, but for none of two hands by the same."""

    name: str

    def start(self) -> dict[str, Any]:
        """Start it, or start it anew, and return who it is. Raises `Lost` and `Refused`."""

    def run(self, order: Order, on_step: OnStep, on_ask: OnAsk) -> bytes:
        """Do it and return the packed result. Raises `Lost`, `OutOfMemory`, `FleetError`, and what ``on_step`` does."""

    def end(self) -> None:
        """Let go of it."""
