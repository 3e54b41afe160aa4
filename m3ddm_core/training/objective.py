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


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decides of ``b`` clips of ``f`` frames: small, so that other processes may draw it.

    ``timesteps``, ``guide_timesteps``, ``noise_seeds`` (b,) int64; ``whole`` (b, f), ``blank_video``, ``no_global``
    (b,) bool: frames that are given whole, context and global frames that are withheld.
    """

    timesteps: Tensor
    whole: Tensor
    blank_video: Tensor
    no_global: Tensor
    guide_timesteps: Tensor
    noise_seeds: Tensor


class DrawSource(torch.utils.data.Dataset):
    """The draws of single clips, by their numbers among all clips of a run; `collate` puts them together.

    ``seed``: the run's. A run that was stopped thus goes on as it would have.
    """

    def __init__(self, seed: int, objective: Objective, frames: int):
        self.seed, self.objective, self.frames = seed, objective, frames

    def __getitem__(self, number: int) -> tuple[int | bool | np.ndarray, ...]:
        """In the order of `Draws`."""
        objective = self.objective
        rng = np.random.default_rng((self.seed, STEPS, number))
        timestep = rng.integers(TRAIN_TIMESTEPS)
        if objective.timesteps == "noisy":
            # Where little of a frame is left, what it held must come from elsewhere: that takes longest to learn.
            timestep = max(timestep, rng.integers(TRAIN_TIMESTEPS))
        _, whole = masks.draw_whole_frames(rng, self.frames)
        blank_video, no_global = masks.draw_dropout(rng, objective.drop_context, objective.drop_global)
        return timestep, whole, blank_video, no_global, rng.integers(objective.guide_noise + 1), rng.integers(2**63 - 1)

    @staticmethod
    def collate(draws: Sequence[tuple]) -> Draws:
        """Stack the draws of some clips."""
        return Draws(*(torch.from_numpy(np.stack(part)) for part in zip(*draws, strict=True)))

    def of(self, numbers: Sequence[int]) -> Draws:
        """The draws of clips of these numbers."""
        return self.collate([self[number] for number in numbers])


def make_batch(clips: Sequence[LatentClip], draws: Draws, objective: Objective) -> Batch:
    """Noise clips of equal shape, and give or withhold their conditions, as the ``draws`` say."""
    device = clips[0].latents.device
    latents, masked, hidden, blank, known, fps = (
        torch.stack([getattr(clip, name) for clip in clips])
        for name in ("latents", "masked", "mask", "blank", "global_latents", "fps")
    )
    noise, guide_noise = _noise(latents.shape, draws, device)
    timesteps, guide_timesteps = draws.timesteps.to(device), draws.guide_timesteps.to(device)
    whole, blank_video, no_global = (flag.to(device) for flag in (draws.whole, draws.blank_video, draws.no_global))
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


def _noise(shape: torch.Size, draws: Draws, device: torch.device) -> tuple[Tensor, Tensor]:
    """The noise of clips and of their whole frames, zero where those have none, of each clip from its own seed.

    It is drawn on the device: the same on every machine for CPUs, but of other values on a GPU.
    """
    generator = torch.Generator(device)
    noise, guide_noise = torch.empty(shape, device=device), torch.zeros(shape, device=device)
    guided = (draws.whole.any(1) & (draws.guide_timesteps > 0)).tolist()
    for number, seed in enumerate(draws.noise_seeds.tolist()):
        generator.manual_seed(seed)
        noise[number].normal_(generator=generator)
        if guided[number]:
            guide_noise[number].normal_(generator=generator)
    return noise, guide_noise


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
