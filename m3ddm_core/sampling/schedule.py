"""The noise schedule that the network was trained with, and how its timesteps and noise levels go together.

Noise levels are ComfyUI's and k-diffusion's sigma: the standard deviation of the noise over that of the signal.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import PNDMScheduler

TRAIN_TIMESTEPS = 1000


def noise_schedule() -> PNDMScheduler:
    """Return a fresh scheduler as Stable Diffusion 1.5 configures it and M3DDM uses it."""
    # diffusers takes seconds to import, which nobody who starts ComfyUI should wait for.
    from diffusers import PNDMScheduler

    return PNDMScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def add_noise(latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
    """Noise latents to a timestep in 0..999 of the training schedule; shapes are equal."""
    timesteps = torch.full((latents.shape[0],), timestep, dtype=torch.long, device=latents.device)
    return noise_schedule().add_noise(latents, noise, timesteps)


@lru_cache(maxsize=1)
def log_noise_levels() -> np.ndarray:
    """Logarithms of the noise levels of timesteps 0..999, ascending, float64."""
    signal = noise_schedule().alphas_cumprod.double().numpy()
    return np.log((1 - signal) / signal) / 2


def noise_level(timestep: float) -> float:
    """Noise level of a timestep in 0..999; between whole ones the logarithm runs straight, as in ComfyUI."""
    levels = log_noise_levels()
    return float(np.exp(np.interp(timestep, np.arange(len(levels)), levels)))


def nearest_timestep(level: float) -> int:
    """Whole timestep in 0..999 whose noise level is nearest."""
    return int(np.abs(log_noise_levels() - np.log(level)).argmin())
