"""One clip: conditions, start latents and noise in, latents out.

Latents are in model space (VAE latents times 0.18215), float32, laid out ``b c f h w``. Noise levels are ComfyUI's and
k-diffusion's sigma: the standard deviation of the noise over that of the signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

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


class BranchInputs(NamedTuple):
    """What one evaluation of the network is given for one branch of a batch of ``b`` clips, on whatever device.

    ``x`` (b, 9, f, h, w): noisy latents, then masked latents with their mask. ``timesteps``, ``fps`` (b,): int64.
    ``global_latents`` (g, 4, gh, gw).
    """

    x: Tensor
    timesteps: Tensor
    global_latents: Tensor
    fps: Tensor

    def evaluate(self, network: Network, tokens: Tensor | None = None) -> Tensor:
        """Return the noise (b, 4, f, h, w). ``tokens``: those of the global latents, where they are known."""
        if tokens is None:
            tokens = network.encode_global(self.global_latents[None])
        return network(self.x, self.timesteps, tokens.expand(len(self.x), -1, -1), self.fps)


class Branches:
    """The branches of a batch of clips, which the network evaluates one after the other."""

    def __init__(self, network: Network, conditions: ClipConditions):
        self.network, self.conditions = network, conditions
        # The tokens of the global frames are the same in all steps.
        self._tokens = lru_cache(lambda branch: network.encode_global(conditions.inputs(branch)[1][None]))

    def inputs(self, x: Tensor, level: float, branch: Branch) -> BranchInputs:
        """What the network is given for noisy latents (b, 4, f, h, w) at a noise level."""
        video, global_latents = self.conditions.inputs(branch)
        timesteps = torch.full((len(x),), nearest_timestep(level), dtype=torch.long, device=x.device)
        fps = torch.full((len(x),), self.conditions.fps, dtype=torch.long, device=x.device)
        return BranchInputs(torch.cat([x, video], dim=1), timesteps, global_latents, fps)

    def one(self, x: Tensor, level: float, branch: Branch) -> Tensor:
        """Return the noise that the network predicts for one branch."""
        return self.inputs(x, level, branch).evaluate(self.network, self._tokens(branch)).to(x)

    def all(self, x: Tensor, level: float, branches: tuple[Branch, ...]) -> dict[Branch, Tensor]:
        """Return the noise of each branch, in their order: they are added up in it, and sums round."""
        return {branch: self.one(x, level, branch) for branch in branches}


MakeBranches = Callable[[Network, ClipConditions], Branches]
"""`Branches`, or those of a network that is not alone."""

PredictNoise = Callable[[Tensor, float], Tensor]
"""``predict_noise(x, level)``: noisy latents (b, 4, f, h, w) of variance one, at a noise level, to their noise."""


@dataclass(frozen=True, eq=False)
class Sampler:
    """A way from noised start latents to clean ones: its noise levels, noisiest first, without the final zero, and
    ``run(predict_noise, start, noise, callback)``, which returns latents."""

    levels: tuple[float, ...]
    run: Callable[[PredictNoise, Tensor, Tensor, Callback], Tensor]


def guided_noise(branches: Branches, guidance: Guidance, levels: Iterable[float]) -> PredictNoise:
    """Make what predicts the noise of a batch of clips under guidance, in one run of a sampler through ``levels``.

    Only those branches are evaluated that the guidance needs at a noise level.
    """
    edges = tuple(noise_level((TRAIN_TIMESTEPS - 1) * (1 - share)) for share in (guidance.start, guidance.end))
    run = GuidanceRun(guidance, levels, edges)

    def predict_noise(x: Tensor, level: float) -> Tensor:
        predictions = run.predict(level, partial(branches.all, x, level), unit=level / (1 + level**2))
        return combine(predictions, run.weights(level))

    return predict_noise


def guided_sampler(
    network: Network, guidance: Guidance, sampler: Sampler, branches: MakeBranches = Branches
) -> SampleClips:
    """Make a sampler of clips out of a network, guidance and a way through the noise levels.

    No gradients are kept, whatever the network's weights ask for.
    """

    @torch.no_grad()
    def sample(conditions: ClipConditions, start: Tensor, noise: Tensor, callback: Callback) -> Tensor:
        predict_noise = guided_noise(branches(network, conditions), guidance, sampler.levels)
        return sampler.run(predict_noise, start, noise, callback)

    return sample
