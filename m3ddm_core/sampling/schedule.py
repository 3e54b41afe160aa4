"""The noise schedule that the network was trained with, and how its timesteps and noise levels go together.

Noise levels are ComfyUI's and k-diffusion's sigma: the standard deviation of the noise over that of the signal.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

TRAIN_TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
"""Variance of the noise that the first and the last timestep add; its root grows evenly in between, as in Stable
Diffusion 1.5 (diffusers calls that scaled linear)."""


@cache
def signal_shares() -> Tensor:
    """The signal's share of the variance at timesteps 0..999, (1000,) float32: the schedule's cumulative alphas."""
    # Kept for good: it must serve gradients even if the first to ask for it does so in inference mode.
    with torch.inference_mode(False):
        betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_TIMESTEPS, dtype=torch.float32) ** 2
        return torch.cumprod(1 - betas, dim=0)


def add_noise(latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
    """Noise latents to a timestep in 0..999 of the training schedule; shapes are equal."""
    signal = signal_shares()[timestep].to(latents.dtype)
    return signal**0.5 * latents + (1 - signal) ** 0.5 * noise


@cache
def log_noise_levels() -> np.ndarray:
    """Logarithms of the noise levels of timesteps 0..999, ascending, float64."""
    signal = signal_shares().double().numpy()
    return np.log((1 - signal) / signal) / 2


def noise_level(timestep: float) -> float:
    """Noise level of a timestep in 0..999; between whole ones the logarithm runs straight, as in ComfyUI."""
    levels = log_noise_levels()
    return float(np.exp(np.interp(timestep, np.arange(len(levels)), levels)))


def nearest_timestep(level: float) -> int:
    """Whole timestep in 0..999 whose noise level is nearest."""
    return int(np.abs(log_noise_levels() - np.log(level)).argmin())
