"""What Ray is given: an actor around a worker. Ray takes this class along as it is, so that workers find the library
under its own name, whatever it is called where the fleet is asked from; it holds on to nothing else of this library.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

OK, REFUSED = "ok", "refused"


class Shell:
    """A worker and its process. What goes wrong with what it is given is answered, not raised: errors of Ray's own
    tell that the process is gone."""

    def begin(self, *given: Any) -> tuple[str, Any]:
        """Make the worker; answers which of its files it misses."""
        import importlib

        try:
            self._worker = importlib.import_module("m3ddm_core.fleet.worker").Worker(*given)
        except ImportError as error:
            return REFUSED, f"got no {error.name} there, expected it installed: {error}"
        return OK, self._worker.missing()

    def receive(self, name: str, part: bytes, last: bool) -> None:
        """As `Worker` has it."""
        self._worker.receive(name, part, last)

    def load(self) -> tuple[str, Any]:
        """As `Worker` has it."""
        self._worker.missing()
        try:
            return OK, self._worker.load()
        except Exception as error:
            return REFUSED, " ".join(str(error).split())

    def work(self, what: str, order: dict[str, Any], packed: bytes) -> Iterator[tuple[Any, ...]]:
        """As `Worker` has it."""
        yield from self._worker.work(what, order, packed)

    def give(self, number: int, packed: bytes) -> None:
        """As `Worker` has it."""
        self._worker.give(number, packed)

    def stop(self) -> None:
        """As `Worker` has it."""
        self._worker.stop()

    def process(self) -> int:
        """The number of its process."""
        import os

        return os.getpid()
