"""Samplers with few steps, over diffusers' schedulers, named as in ComfyUI.

The noise levels are ComfyUI's too, so that what is measured here is what a graph does. ``uni_pc_bh2`` alone is the same
method with other details.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .clip import Callback, PredictNoise, Sampler
from .pndm import pndm_sampler, require_steps
from .schedule import BETA_END, BETA_START, TRAIN_TIMESTEPS, log_noise_levels, noise_level

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

PNDM = "pndm"
"""The published sampler. It has its own timesteps and takes no scheduler."""

SOLVERS: dict[str, tuple[str, dict[str, Any]]] = {
    # Without noise of its own, DDIM is Euler's method over the noise levels; so it is in ComfyUI.
    "ddim": ("EulerDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "uni_pc_bh2": ("UniPCMultistepScheduler", {"solver_type": "bh2", "solver_order": 3}),
}
SAMPLERS = (PNDM, *SOLVERS)
KARRAS_RHO = 7.0


def _at_timesteps(timesteps: np.ndarray) -> np.ndarray:
    return np.array([noise_level(timestep) for timestep in timesteps])


def _between_ends(steps: int, curve: Callable[[np.ndarray], np.ndarray], back: Callable[[Any], Any]) -> np.ndarray:
    """Noise levels from the largest to the smallest, evenly spaced along a curve."""
    largest, smallest = curve(np.exp(log_noise_levels()[[-1, 0]]))
    return back(np.linspace(largest, smallest, steps))


SCHEDULES: dict[str, Callable[[int], np.ndarray]] = {
    "normal": lambda steps: _at_timesteps(np.linspace(TRAIN_TIMESTEPS - 1, 0, steps)),
    "sgm_uniform": lambda steps: _at_timesteps(np.linspace(TRAIN_TIMESTEPS - 1, 0, steps + 1)[:-1]),
    "karras": lambda steps: _between_ends(steps, lambda s: s ** (1 / KARRAS_RHO), lambda r: r**KARRAS_RHO),
    "exponential": lambda steps: _between_ends(steps, np.log, np.exp),
}
SCHEDULERS = tuple(SCHEDULES)


def make_sampler(sampler: str = PNDM, scheduler: str = "normal", *, steps: int, denoise: float = 1.0) -> Sampler:
    """Make one of ``SAMPLERS`` over the noise levels of one of ``SCHEDULERS``.

    ``denoise`` in (0, 1]: the last ``steps`` of ``int(steps / denoise)`` are taken. Raises ``ValueError`` for unknown
    names and impossible numbers, and without diffusers for all samplers but ``pndm``.
    """
    for value, known, what in ((sampler, SAMPLERS, "sampler"), (scheduler, SCHEDULERS, "scheduler")):
        if value not in known:
            raise ValueError(f"got the {what} {value!r}, expected one of {', '.join(known)}")
    if sampler == PNDM:
        return pndm_sampler(steps, denoise)
    if find_spec("diffusers") is None:
        raise ValueError(
            f"the sampler {sampler!r} needs the package diffusers: run `pip install diffusers`, or take {PNDM!r}"
        )
    require_steps(steps, denoise)
    levels = tuple(SCHEDULES[scheduler](int(steps / denoise))[-steps:].tolist())

    def run(predict_noise: PredictNoise, start: Tensor, noise: Tensor, callback: Callback) -> Tensor:
        return _solve(_scheduler(sampler, levels), predict_noise, start, noise, callback)

    return Sampler(levels, run)


def _scheduler(name: str, levels: tuple[float, ...]) -> SchedulerMixin:
    """Return a fresh scheduler of diffusers that goes through the given noise levels and on to zero."""
    import diffusers

    kind, options = SOLVERS[name]
    scheduler = getattr(diffusers, kind)(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="scaled_linear",
        **options,
    )
    scheduler.set_timesteps(len(levels))
    # Some of diffusers' schedulers take noise levels, each in its own way, and some take none; but all step along this
    # list. A scheduler that evaluates twice a step has every level but the first twice.
    sigmas = torch.tensor(levels)
    later = sigmas[1:].repeat_interleave(scheduler.order)
    scheduler.sigmas = torch.cat([sigmas[:1], later, torch.zeros(1)])
    scheduler.set_begin_index(0)
    return scheduler


def _solve(
    scheduler: SchedulerMixin, predict_noise: PredictNoise, start: Tensor, noise: Tensor, callback: Callback
) -> Tensor:
    """Run a scheduler; ``callback`` counts evaluations, which are two a step for ``heun``."""
    x = scheduler.add_noise(start, noise, scheduler.timesteps[:1])
    count = len(scheduler.timesteps)
    for number, (timestep, level) in enumerate(zip(scheduler.timesteps, scheduler.sigmas.tolist(), strict=False)):
        # Some schedulers step through latents of growing variance; the network sees variance one.
        scaled = scheduler.scale_model_input(x, timestep)
        predicted = predict_noise(scaled, level)
        callback(number, count, scaled * (1 + level**2) ** 0.5 - level * predicted)
        x = scheduler.step(predicted, timestep, x).prev_sample
    return x
