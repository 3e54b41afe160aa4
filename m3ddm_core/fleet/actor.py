"""A worker in an actor of Ray's: started, sent its weights where it does not see them, listened to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from ..journal.digest import Unidentified
from ..journal.weights import WeightsFile
from . import shell
from .hand import FleetError, Lost, OnAsk, OnStep, Order, OutOfMemory, Refused
from .identity import difference, own_identity
from .packets import ASK, DONE, FAILED, MEMORY, NOTE

START_SECONDS = 900
"""A worker that has not loaded its weights by then is given up."""
PART_BYTES = 32 * 2**20
"""Weights are sent in parts of this size, so that no object store has to hold them whole."""
UNREAD_STEPS = 8
"""A worker waits when so many answers lie in the object store."""

T = TypeVar("T")


@dataclass(frozen=True)
class Weights:
    """The files of network and VAE, "" for none, as they are here, and how a worker is to compute with them:
    ``device`` "" takes a GPU where it has one; ``dtype``: a key of `DTYPES`, of the network."""

    network: str
    vae: str
    device: str = ""
    dtype: str = "fp32"

    @property
    def files(self) -> dict[str, str]:
        """Their whole paths by name."""
        given = {"network": self.network, "vae": self.vae}
        return {name: str(Path(path).absolute()) for name, path in given.items() if path}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Hashes of their bytes by name. Raises `FleetError` for files that cannot be read."""
        try:
            return {name: WeightsFile.at(path).digest() for name, path in self.files.items()}
        except Unidentified as error:
            raise FleetError(f"got weights that cannot be read: {error}") from error

    @property
    def identity(self) -> dict[str, str]:
        """What every worker must have too."""
        from ..checkpoint import DTYPES

        return own_identity(self.digests["network"], self.digests.get("vae", ""), str(DTYPES[self.dtype]))


class ActorHand:
    """A worker as `Hand` has it. ``gpus``: the share of one that it is given; ``threads``: for a CPU."""

    def __init__(self, name: str, weights: Weights, gpus: float, threads: int):
        self.name = name
        self._weights, self._gpus, self._threads = weights, gpus, threads
        self.actor: Any = None

    def start(self) -> dict[str, Any]:
        """As `Hand` has it; a worker that was there before is ended."""
        self.end()
        self.actor = self._make()
        weights = self._weights
        device = weights.device or ("" if self._gpus else "cpu")
        missing = self._answer("begin", weights.files, weights.digests, device, weights.dtype, self._threads)
        for name in missing:
            self._send(name)
        identity = self._answer("load")
        differs = difference(identity, weights.identity)
        if differs:
            raise Refused(f"it is not used: {differs}")
        return identity

    def run(self, order: Order, on_step: OnStep, on_ask: OnAsk) -> bytes:
        """As `Hand` has it."""
        actor = self.actor

        def give(number: int, packed: bytes) -> None:
            # It may be gone by now, and with it the question.
            with suppress(Exception):
                actor.give.remote(number, packed)

        stream = actor.work.options(num_returns="streaming", _generator_backpressure_num_objects=UNREAD_STEPS).remote(
            order.what, dict(order.how), order.packed
        )
        try:
            return self._listen(_answers(stream), on_step, lambda number, asked: on_ask(asked, partial(give, number)))
        except BaseException:
            self._let_go()
            raise

    def end(self) -> None:
        """As `Hand` has it."""
        import ray

        if self.actor is not None:
            # Ray may be gone already.
            with suppress(Exception):
                ray.kill(self.actor)
        self.actor = None

    def _listen(
        self, answers: Iterator[tuple[Any, ...]], on_step: OnStep, on_ask: Callable[[int, bytes], None]
    ) -> bytes:
        for what, *told in answers:
            if what == DONE:
                return told[0]
            if what == FAILED:
                of, text = told
                raise OutOfMemory(text) if of == MEMORY else FleetError(f"worker {self.name}: {text}")
            if what == NOTE:
                logging.warning("M3DDM: worker %s: %s.", self.name, told[0])
            elif what == ASK:
                on_ask(*told)
            else:
                on_step(*told)
        raise Lost("it stopped answering")

    def _let_go(self) -> None:
        # It may be what is lost.
        with suppress(Exception):
            self.actor.stop.remote()

    def _make(self) -> Any:
        import ray

        ray.cloudpickle.register_pickle_by_value(shell)
        options = {"num_cpus": self._threads, "num_gpus": self._gpus, "max_restarts": 0, "max_concurrency": 2}
        return ray.remote(shell.Shell).options(**options).remote()

    def _answer(self, method: str, *given: Any) -> Any:
        outcome, told = self._call(method, *given)
        if outcome == shell.REFUSED:
            raise Refused(told)
        return told

    def _call(self, method: str, *given: Any) -> Any:
        import ray

        call = getattr(self.actor, method)
        return _told(lambda: ray.get(call.remote(*given), timeout=START_SECONDS))

    def _send(self, name: str) -> None:
        path = Path(self._weights.files[name])
        if not path.is_file():
            raise Refused(f"got no {path} there, expected it, or here a single file to send: see `convert`")
        logging.info("M3DDM: worker %s does not see %s, which is sent.", self.name, path.name)
        size = path.stat().st_size
        with path.open("rb") as file:
            while part := file.read(PART_BYTES):
                self._call("receive", name, part, file.tell() >= size)


def _answers(stream: Any) -> Iterator[tuple[Any, ...]]:
    import ray

    coming = iter(stream)
    while True:
        try:
            yield _told(lambda: ray.get(next(coming)))
        except StopIteration:
            return


def _told(ask: Callable[[], T]) -> T:
    """Ask Ray, and say in this house's errors what it raises."""
    from ray import exceptions

    try:
        return ask()
    except (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError) as error:
        raise FleetError(
            "Ray's object store is full; give it more (`ray start --object-store-memory`), or ask for fewer clips at "
            f"once ({_first_line(error)})"
        ) from error
    except exceptions.GetTimeoutError as error:
        raise Lost(f"it did not answer for {START_SECONDS} s: is there room for it?") from error
    except exceptions.RayTaskError as error:
        raise FleetError(f"a worker failed: {_first_line(error.cause or error)}") from error
    except exceptions.RayError as error:
        raise Lost(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
