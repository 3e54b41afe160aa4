"""A fleet on this machine, measured: plain, and 1, 2 and more workers of one thread each; and killed workers.

    python -m benchmarks.fleet_speed --checkpoint FILE --vae FILE [--workers 1 2 4] [--rounds 3] [--kills 10]

The levels of a video of seeded noise are sampled: no file is read or written. Every run must make the bits of the plain
one. What is measured stands beside what `fleet/simulate.py` makes of the seconds that one worker takes for a clip; with
more workers than cores each is simulated as slower in proportion. ``cpu``: seconds of all processors, of driver and
workers together. A machine is not equally fast at all times: there is a plain run before and after each fleet and, of
several rounds, the last line has the medians: of all, and of those in which the machine was even, the same work having
taken the processors of a fleet hardly longer than plain.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from m3ddm_core.fleet.actor import Weights
from m3ddm_core.fleet.fleet import Fleet
from m3ddm_core.fleet.models import fleet_models
from m3ddm_core.fleet.on_ray import Where, ray_fleet
from m3ddm_core.fleet.simulate import Costs, simulate, waves_of
from m3ddm_core.models import Models, load_models, load_network
from m3ddm_core.outpaint.state import OutpaintState
from m3ddm_core.pipeline import state_sampler
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.vae import load_vae

FIRST = 100
"""Frames of another video that the workers sample before: several clips at once."""
EVEN = 1.05
"""Times the seconds of plain runs that a fleet's processors may take where the machine was as fast for both."""


def noise_state(frames: int, side: int) -> OutpaintState:
    """A video of seeded noise, its right half to be made, of ``side`` latents a side."""
    draw = torch.Generator().manual_seed(0)
    masks = torch.zeros(frames, 1, side, side)
    masks[..., side // 2 :] = 1
    start, masked = (torch.randn((frames, 4, side, side), generator=draw) for _ in range(2))
    shown = torch.randn((16, 4, 32, 32), generator=draw)
    blank = torch.full((1, 4, side, side), -1.0)
    return OutpaintState(start, masked, masks, blank, start, shown, 25.0, frozenset(), frozenset(), None)


def sampled(models: Models, settings: SamplingSettings, state: OutpaintState) -> tuple[float, torch.Tensor]:
    """Seconds and latents of all levels."""
    sample, begun = state_sampler(models, settings, seed=0), time.monotonic()
    latents = sample(state, None).latents
    return time.monotonic() - begun, latents


def processor_seconds(fleet: Fleet) -> float:
    """What this process and the workers of a fleet have computed so far."""
    import psutil
    import ray

    processes = [os.getpid(), *ray.get([hand.actor.process.remote() for hand in fleet.hands])]
    times = [psutil.Process(process).cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def killing(fleet: Fleet, kills: int, seconds: float, draw: random.Random) -> Callable[[], int]:
    """Begin to kill workers at random moments of ``seconds``; returns what ends it and counts those killed."""
    import ray

    stop, killed = threading.Event(), []

    def run() -> None:
        while len(killed) < kills and not stop.wait(draw.uniform(0, 2 * seconds / kills)):
            # One that is killed whenever it starts is given up: that is not what is asked here.
            present = fleet.present
            if not present:
                continue
            actor = draw.choice(present).actor
            try:
                process = ray.get(actor.process.remote(), timeout=30)
                os.kill(process, signal.SIGKILL)
                killed.append(process)
            # It is dead already, or is being started.
            except (ray.exceptions.RayError, AttributeError, ProcessLookupError):
                continue

    thread = threading.Thread(target=run)
    thread.start()

    def end() -> int:
        stop.set()
        thread.join()
        return len(killed)

    return end


def measured_round(given: argparse.Namespace, models: Models, weights: Weights) -> list[dict[str, Any]]:
    """Each number of workers: seconds, and the mean of the seconds of plain runs before and after it."""
    settings = SamplingSettings(steps=given.steps, sampler="euler")
    state = noise_state(given.frames, given.side)
    clips = sum(waves_of(given.frames))
    runs = []
    before, expected = sampled(models, settings, state)
    for count in given.workers:
        run = {"workers": count, "load": os.getloadavg()[0]}
        with ray_fleet(Where("local", workers=count), weights) as fleet:
            fleet.wait_for_all()
            # The first clip that a process samples takes longer, and this process has sampled some.
            sampled(fleet_models(fleet), settings, noise_state(FIRST, given.side))
            run |= timed(fleet, settings, state, expected)
            if given.kills and count > 1:
                end = killing(fleet, given.kills, run["seconds"], random.Random(given.seed))
                _, latents = sampled(fleet_models(fleet), settings, state)
                run |= {"killed": end(), "equal_though_killed": torch.equal(latents, expected)}
        after, _ = sampled(models, settings, state)
        plain = (before + after) / 2
        speed = min(1.0, (os.cpu_count() or 1) / count)
        branches = sum(weight != 0 for weight in settings.guidance.weights(inside=True).values())
        costs = Costs(plain / clips, branches=branches)
        simulated = simulate([(state.num_frames,)], [speed] * count, costs).seconds
        runs.append(run | {"plain": plain, "simulated": simulated})
        print(json.dumps(runs[-1]), flush=True)
        before = after
    return runs


def medians(runs: list[dict[str, Any]]) -> list[dict[str, float]]:
    """For each number of workers how many rounds there were, in how many the machine was even, and medians of both.

    They are of how many times as fast as plain it was, and of what was measured over what was simulated.
    """
    found = []
    for count in sorted({run["workers"] for run in runs}):
        every = [run for run in runs if run["workers"] == count]
        even = [run for run in every if run["cpu"] <= EVEN * run["plain"]]
        told = {"workers": count, "rounds": len(every), "even": len(even)}
        for name, some in (("all", every), ("even", even)):
            if some:
                faster = statistics.median(run["plain"] / run["seconds"] for run in some)
                over = statistics.median(run["seconds"] / run["simulated"] for run in some)
                told |= {f"times_as_fast_{name}": round(faster, 3), f"over_simulated_{name}": round(over, 3)}
        found.append(told)
    return found


def timed(fleet: Fleet, settings: SamplingSettings, state: OutpaintState, expected: torch.Tensor) -> dict[str, Any]:
    """Seconds of a fleet, those of all processors meanwhile, and whether the bits are right."""
    begun = processor_seconds(fleet)
    seconds, latents = sampled(fleet_models(fleet), settings, state)
    return {"seconds": seconds, "cpu": processor_seconds(fleet) - begun, "equal": torch.equal(latents, expected)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--vae", required=True)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--side", type=int, default=8, help="of the canvas in latents (8)")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2, 4))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0, help="of workers, at random moments of another run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    weights = Weights(given.checkpoint, given.vae, "cpu")
    models = load_models(load_network(given.checkpoint), load_vae(given.vae))
    runs = [run for _ in range(given.rounds) for run in measured_round(given, models, weights)]
    result = {"cores": os.cpu_count(), "runs": runs, "medians": medians(runs)}
    print(json.dumps(result["medians"]))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))
    return 0 if all(run["equal"] and run.get("equal_though_killed", True) for run in runs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
