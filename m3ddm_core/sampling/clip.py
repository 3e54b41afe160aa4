"""One clip: conditions, start latents and noise in, latents out.

Latents are in model space (VAE latents times 0.18215), float32, laid out ``b c f h w``. Noise levels are ComfyUI's and
k-diffusion's sigma: the standard deviation of the noise over that of the signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from .guidance import Branch, Guidance, GuidanceRun, combine
from .schedule import TRAIN_TIMESTEPS, nearest_timestep, noise_level


@dataclass(frozen=True, eq=False)
class ClipConditions:
    """What the network is shown of a batch of ``b`` clips.

    ``masked_video`` (b, 5, f, h, w): latents with everything unknown blacked out, and the mask (1 = to be filled).
    ``blank_video``: the same with everything but the guide frames blacked out.
    ``global_latents`` (g, 4, gh, gw), the same for all clips; ``fps``: whole frames a second of the clips as strided.
    """

    masked_video: Tensor
    blank_video: Tensor
    global_latents: Tensor
    fps: int

    def inputs(self, branch: Branch) -> tuple[Tensor, Tensor]:
        """Return (b, 5, f, h, w) masked latents with mask, and (g, 4, gh, gw) global latents, that a branch sees.

        A branch without global frames sees a single black one. The published code gives it as many black ones as the
        video has global frames. Each frame is encoded alone, so those are copies of the same tokens, and attention to
        copies is attention to one.
        """
        video = self.blank_video if branch is Branch.UNCONDITIONAL else self.masked_video
        return video, self.global_latents if branch is Branch.FULL else torch.zeros_like(self.global_latents[:1])


Callback = Callable[[int, int, Tensor], None]
"""``callback(step, steps, denoised)`` after each step, counted from 0, with the clean latents as they now look."""

SampleClips = Callable[[ClipConditions, Tensor, Tensor, Callback], Tensor]
"""``sample(conditions, start, noise, callback)``: start latents, noise and result are all (b, 4, f, h, w)."""


class Network(Protocol):
    """What the sampler asks of the network: tokens of the global frames, and the noise of a clip."""

    def encode_global(self, latents: Tensor) -> Tensor:
        """(b, g, 4, gh, gw) to tokens (b, n, c)."""

    def __call__(self, x: Tensor, timesteps: Tensor, global_tokens: Tensor, fps: Tensor) -> Tensor:
        """(b, 9, f, h, w), (b,), (b, n, c), (b,) to the noise (b, 4, f, h, w)."""


PredictNoise = Callable[[Tensor, float], Tensor]
"""``predict_noise(x, level)``: noisy latents (b, 4, f, h, w) of variance one, at a noise level, to their noise."""


@dataclass(frozen=True, eq=False)
class Sampler:
    """A way from noised start latents to clean ones: its noise levels, noisiest first, without the final zero, and
    ``run(predict_noise, start, noise, callback)``, which returns latents."""

    levels: tuple[float, ...]
    run: Callable[[PredictNoise, Tensor, Tensor, Callback], Tensor]


def guided_noise(
    network: Network, guidance: Guidance, levels: Iterable[float], conditions: ClipConditions
) -> PredictNoise:
    """Make what predicts the noise of a batch of clips under guidance, in one run of a sampler through ``levels``.

    Only those branches are evaluated that the guidance needs at a noise level, one after the other. No gradients are
    kept of it, whatever the network's weights ask for: this is where that is decided, for all who sample.
    """
    edges = tuple(noise_level((TRAIN_TIMESTEPS - 1) * (1 - share)) for share in (guidance.start, guidance.end))
    run = GuidanceRun(guidance, levels, edges)

    # The tokens of the global frames are the same in all steps.
    @lru_cache
    def inputs(branch: Branch) -> tuple[Tensor, Tensor]:
        video, latents = conditions.inputs(branch)
        return video, network.encode_global(latents[None]).expand(len(video), -1, -1)

    def predict_noise(x: Tensor, level: float) -> Tensor:
        timesteps = torch.full((len(x),), nearest_timestep(level), dtype=torch.long, device=x.device)
        fps = torch.full((len(x),), conditions.fps, dtype=torch.long, device=x.device)

        def evaluate(branches: tuple[Branch, ...]) -> dict[Branch, Tensor]:
            predictions = {}
            for branch in branches:
                video, tokens = inputs(branch)
                predictions[branch] = network(torch.cat([x, video], dim=1), timesteps, tokens, fps).to(x)
            return predictions

        predictions = run.predict(level, evaluate, unit=level / (1 + level**2))
        return combine(predictions, run.weights(level))

    return predict_noise


def guided_sampler(network: Network, guidance: Guidance, sampler: Sampler) -> SampleClips:
    """Make a sampler of clips out of a network, guidance and a way through the noise levels."""

    @torch.no_grad()
    def sample(conditions: ClipConditions, start: Tensor, noise: Tensor, callback: Callback) -> Tensor:
        return sampler.run(guided_noise(network, guidance, sampler.levels, conditions), start, noise, callback)

    return sample
