"""A fleet on Ray: a cluster that is there, or one of this machine alone, with an actor for each worker."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .actor import ActorHand, Weights
from .fleet import Fleet
from .hand import FleetError
from .identity import ROOT

LOCAL, AUTO = "local", "auto"
STORE_BYTES = 256 * 2**20
"""Of the object store of a Ray that is started here: it holds latents on their way, and nothing for long."""
CONNECT_SECONDS = 10
START_MILLISECONDS = 100_000
"""So long Ray's own processes may take to start."""
INSTALL = "a fleet needs Ray: run `pip install ray`"


@dataclass(frozen=True)
class Where:
    """Which Ray, and how many workers there.

    ``address``: "local" starts one on this machine, "auto" takes the one that runs on it, host:port that one.
    ``workers``: 0 for as many as there is room for. ``gpus``: the share of one that a worker is given, where there are
    any; ``threads``: how many a worker computes with on a CPU.
    """

    address: str = LOCAL
    workers: int = 0
    gpus: float = 1.0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.workers < 0 or self.threads < 1 or not 0 < self.gpus <= 1:
            raise FleetError(
                f"got {self.workers} workers with a share of {self.gpus} of a GPU and {self.threads} threads, expected "
                "0 or more, a share above 0 and up to 1, and 1 or more"
            )
        if self.address.startswith("ray://"):
            raise FleetError(
                f"got the address {self.address}, of Ray's client, which hands no results on as they come; expected "
                'host:port, given on a machine of the cluster, or "auto" in `ray job submit`'
            )


@contextmanager
def ray_fleet(where: Where, weights: Weights) -> Iterator[Fleet]:
    """Connect, start the workers and wait for the first; in the end let go of all that was started.

    Raises `FleetError` where there is no Ray, no answer, or no worker that can be used.
    """
    if importlib.util.find_spec("ray") is None:
        raise FleetError(INSTALL)
    import ray

    if where.address not in (LOCAL, AUTO):
        _require_answer(where.address)
    begun_here = not ray.is_initialized()
    if begun_here:
        _connect(where)
    else:
        _require_same(where.address, ray.get_runtime_context().gcs_address)
    try:
        gpus, count = _room(where, weights.device)
        hands = [ActorHand(f"{number}", weights, gpus, where.threads) for number in range(1, count + 1)]
        with Fleet(hands) as fleet:
            logging.info("M3DDM: a fleet of %d workers on Ray (%s).", count, where.address)
            yield fleet
    finally:
        if begun_here:
            ray.shutdown()


def _connect(where: Where) -> None:
    """Start a Ray, or connect to one. Raises `FleetError`."""
    import ray

    there = {"runtime_env": {"py_modules": [str(ROOT)]}}
    options = _local_options(where) if where.address == LOCAL else there
    # A machine that is busy, or reads Ray from its disk for the first time, may take longer than Ray waits.
    for last in (where.address != LOCAL, True):
        # Ray raises plain exceptions of many kinds when it does not come up.
        try:
            ray.init(address=where.address, log_to_driver=False, logging_level=logging.ERROR, **options)
            return
        except Exception as error:
            ray.shutdown()
            if last:
                raise FleetError(_no_ray(where.address, error)) from error


def _local_options(where: Where) -> dict[str, Any]:
    return {
        "num_cpus": max(os.cpu_count() or 1, where.workers * where.threads),
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "runtime_env": {"env_vars": {"PYTHONPATH": str(ROOT.parent)}},
        # Ray would have its workers give way to everything else that runs: here they are what runs.
        "_system_config": {"worker_niceness": 0, "agent_register_timeout_ms": START_MILLISECONDS},
    }


def _no_ray(address: str, error: Exception) -> str:
    remedy = "start one with `ray start --head`" if address == AUTO else "see the logs that Ray names"
    said = " ".join(str(error).split())
    return f"got no Ray at {address}, expected one that answers; {remedy} ({said})"


def _require_same(asked: str, present: str) -> None:
    """Raise `FleetError` where this process, whoever made it so, is part of another Ray: it can be of one only."""
    if asked not in (LOCAL, AUTO, present):
        raise FleetError(
            f"got the address {asked} in a process that is part of the Ray at {present}, expected that one"
        )


def _require_answer(address: str) -> None:
    """Raise `FleetError` for an address where nobody listens: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise FleetError(f"got the address {address!r}, expected local, auto or host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise FleetError(
            f"got no answer from {address} ({error}), expected a Ray there: `ray start --head` prints its address"
        ) from error


def _room(where: Where, device: str) -> tuple[float, int]:
    """The share of a GPU for each worker, 0 for none, and how many workers there are to be."""
    import ray

    resources: dict[str, Any] = ray.cluster_resources()
    gpus = where.gpus if device != "cpu" and resources.get("GPU") else 0.0
    room = resources["GPU"] / gpus if gpus else resources.get("CPU", 0) / where.threads
    if room < 1:
        raise FleetError(
            f"got a Ray with {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs, expected room for "
            f"a worker of {where.threads} threads"
        )
    return gpus, where.workers or int(room)
