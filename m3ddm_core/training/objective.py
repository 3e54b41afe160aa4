"""What a step of training asks of the network, and what its answer is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ..sampling.schedule import TRAIN_TIMESTEPS, signal_shares
from . import masks
from .config import Objective
from .latents import LatentClip
from .samples import STEPS

MIN_SNR_GAMMA = 5.0
"""Hang et al., arXiv 2303.09556."""


@dataclass(frozen=True)
class Batch:
    """One evaluation of the network: its inputs, as ``M3DDMUNet.forward`` takes them, and what it ought to answer.

    ``x`` (b, 9, f, h, w); ``timesteps``, ``fps`` (b,); ``global_latents`` (b, g, 4, gh, gw); ``target``
    (b, 4, f, h, w); ``weights`` (b, 1, f, h, w): what the squared error of each latent pixel counts for.
    """

    x: Tensor
    timesteps: Tensor
    global_latents: Tensor
    fps: Tensor
    target: Tensor
    weights: Tensor


def make_batch(clips: Sequence[LatentClip], numbers: Sequence[int], seed: int, objective: Objective) -> Batch:
    """Draw timesteps, noise, whole frames and dropped conditions for clips of equal shape.

    All of it is decided by the ``seed`` and each clip's number among all clips of the run, so that a run that was
    stopped goes on as it would have.
    """
    device = clips[0].latents.device
    latents, masked, hidden, blank, known, fps = (
        torch.stack([getattr(clip, name) for clip in clips])
        for name in ("latents", "masked", "mask", "blank", "global_latents", "fps")
    )
    draws = [_draw(tuple(latents.shape[1:]), number, seed, objective) for number in numbers]
    timesteps, whole, blank_video, no_global, guide_timesteps, noise, guide_noise = (
        torch.stack(part).to(device) for part in zip(*draws, strict=True)
    )
    signals = signal_shares().to(device)
    signal, guide_signal = (rearrange(signals[t], "b -> b 1 1 1 1") for t in (timesteps, guide_timesteps))
    whole, blank_video, no_global = (
        rearrange(flag, pattern)
        for flag, pattern in (
            (whole, "b f -> b f 1 1 1"),
            (blank_video, "b -> b 1 1 1 1"),
            (no_global, "b -> b 1 1 1 1"),
        )
    )
    hidden, blank = rearrange(hidden, "b c h w -> b 1 c h w"), rearrange(blank, "b c h w -> b 1 c h w")

    guides = torch.where(guide_timesteps.view(-1, 1, 1, 1, 1) > 0, mix(latents, guide_noise, guide_signal), latents)
    context = torch.where(whole, guides, torch.where(blank_video, blank, masked))
    mask = torch.where(whole, 0.0, torch.where(blank_video, 1.0, hidden))
    x = torch.cat([mix(latents, noise, signal), context, mask], dim=2)
    target = noise if objective.prediction == "epsilon" else velocity(latents, noise, signal)
    weights = (1 + (objective.hidden_weight - 1) * mask) * snr_weight(signal, objective)
    x, target, weights = (rearrange(video, "b f c h w -> b c f h w") for video in (x, target, weights))
    return Batch(x, timesteps, known.masked_fill(no_global, 0.0), fps, target, weights)


def _draw(shape: tuple[int, ...], number: int, seed: int, objective: Objective) -> tuple[Tensor, ...]:
    rng = np.random.default_rng((seed, STEPS, number))
    timestep = rng.integers(TRAIN_TIMESTEPS)
    if objective.timesteps == "noisy":
        # Where little of a frame is left, what it held must come from elsewhere: that takes longest to learn.
        timestep = max(timestep, rng.integers(TRAIN_TIMESTEPS))
    _, whole = masks.draw_whole_frames(rng, shape[0])
    blank_video, no_global = masks.draw_dropout(rng, objective.drop_context, objective.drop_global)
    guide_timestep = rng.integers(objective.guide_noise + 1)
    # On the CPU, as everywhere: the same noise on every device.
    generator = torch.Generator("cpu").manual_seed(int(rng.integers(2**63 - 1)))
    noise = torch.randn(shape, generator=generator)
    guide_noise = torch.randn(shape, generator=generator) if guide_timestep else torch.zeros(shape)
    numbers = (torch.tensor(value) for value in (blank_video, no_global, int(guide_timestep)))
    return torch.tensor(int(timestep)), torch.from_numpy(whole), *numbers, noise, guide_noise


def loss_of(answer: Tensor, batch: Batch) -> Tensor:
    """Weighted mean squared error, in float32 whatever the network computed in."""
    return (batch.weights * (answer.float() - batch.target).square()).mean()


def mix(latents: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Noise latents until the signal has this share of the variance."""
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """The v target (Salimans and Ho, arXiv 2202.00512)."""
    return signal.sqrt() * noise - (1 - signal).sqrt() * latents


def snr_weight(signal: Tensor, objective: Objective) -> Tensor:
    """What a timestep counts for: 1, or min-SNR's weight for this kind of prediction."""
    if objective.weighting == "none":
        return torch.ones_like(signal)
    snr = signal / (1 - signal)
    return snr.clamp(max=MIN_SNR_GAMMA) / (snr if objective.prediction == "epsilon" else snr + 1)
