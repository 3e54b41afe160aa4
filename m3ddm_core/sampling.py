"""One clip: conditions, start latents and noise in, latents out.

Latents are in model space (VAE latents times 0.18215), float32, laid out ``b c f h w``. Noise levels are ComfyUI's and
k-diffusion's sigma: the standard deviation of the noise over that of the signal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from .guidance import Branch, Guidance, GuidanceRun, combine

if TYPE_CHECKING:
    from diffusers import PNDMScheduler

TRAIN_TIMESTEPS = 1000


@dataclass(frozen=True)
class ClipConditions:
    """What the network is told about a batch of ``b`` clips.

    ``context`` and ``no_context`` (b, 5, f, h, w): masked-video latents and mask (1 = to be filled), as they are and
    with everything but the guide frames blacked out. ``global_latents`` (g, 4, gh, gw), the same for all clips;
    ``fps``: whole frames a second of the clips as strided.
    """

    context: Tensor
    no_context: Tensor
    global_latents: Tensor
    fps: int

    def inputs(self, branch: Branch) -> tuple[Tensor, Tensor]:
        """Return (b, 5, f, h, w) masked latents with mask, and (g, 4, gh, gw) global latents, that a branch sees.

        A branch without global frames sees a single black one. The release shows it as many as the video has; but each
        frame is encoded alone, so these are copies of the same tokens, and attention to copies is attention to one.
        """
        context = self.no_context if branch is Branch.UNCONDITIONAL else self.context
        return context, self.global_latents if branch is Branch.FULL else torch.zeros_like(self.global_latents[:1])


Callback = Callable[[int, int, Tensor], None]
"""``callback(step, steps, denoised)`` after each step, counted from 0, with the clean latents as they now look."""

SampleClips = Callable[[ClipConditions, Tensor, Tensor, Callback], Tensor]
"""``sample(conditions, start, noise, callback)``: start latents, noise and result are all (b, 4, f, h, w)."""


class Network(Protocol):
    """What the sampler asks of the network: tokens of the global frames, and the noise of a clip."""

    def encode_global(self, latents: Tensor) -> Tensor:
        """(b, g, 4, gh, gw) to tokens (b, n, c)."""

    def __call__(self, x: Tensor, timesteps: Tensor, context: Tensor, fps: Tensor) -> Tensor:
        """(b, 9, f, h, w), (b,), (b, n, c), (b,) to the noise (b, 4, f, h, w)."""


PredictNoise = Callable[[Tensor, float], Tensor]
"""``predict_noise(x, level)``: noisy latents (b, 4, f, h, w) of variance one, at a noise level, to their noise."""


@dataclass(frozen=True)
class Sampler:
    """A way from noised start latents to clean ones: its noise levels, noisiest first, without the final zero, and
    ``run(predict_noise, start, noise, callback)``, which returns latents."""

    levels: tuple[float, ...]
    run: Callable[[PredictNoise, Tensor, Tensor, Callback], Tensor]


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


def require_steps(steps: int, denoise: float) -> None:
    """Raise ``ValueError`` for fewer than one step or a ``denoise`` outside (0, 1]."""
    if steps < 1 or not 0 < denoise <= 1:
        raise ValueError(f"got steps={steps}, denoise={denoise}; expected at least one step and denoise in (0, 1]")


def pndm_timesteps(steps: int, denoise: float = 1.0) -> list[int]:
    """Return the ``steps`` timesteps of :func:`sample_pndm`: the clean end of those for ``steps / denoise`` steps.

    Raises ``ValueError`` for fewer than one step or a ``denoise`` outside (0, 1].
    """
    require_steps(steps, denoise)
    scheduler = noise_schedule()
    scheduler.set_timesteps(int(steps / denoise))
    timesteps = scheduler.timesteps.tolist()
    # PLMS takes its first step twice, the second time with the mean of the noise at both ends, so a list has to name
    # its second timestep twice. The scheduler's own does; the release drops the first entry of it and begins with the
    # pair. Of a shorter list the tail has no pair: without one every later step would be one too far on.
    if len(timesteps) == steps + 1 or steps < 3:
        return timesteps[-steps:]
    first, second, *rest = timesteps[1 - steps :]
    return [first, second, second, *rest]


def sample_pndm(
    predict_noise: Callable[[Tensor, int], Tensor],
    start: Tensor,
    noise: Tensor,
    *,
    steps: int,
    denoise: float = 1.0,
    callback: Callback | None = None,
) -> Tensor:
    """Denoise with the reference's sampler, the PLMS variant of PNDM (arXiv 2202.09778).

    ``predict_noise(x, timestep)`` is evaluated ``steps`` times. ``denoise`` in (0, 1] is the part of the schedule
    that is gone through, from its clean end: the start latents are noised to where it begins. At 1.0 the timesteps
    are the release's, which leave out the noisiest one: 961, 961, 941, ..., 1 for 50 steps.
    """
    timesteps = pndm_timesteps(steps, denoise)
    scheduler = noise_schedule()
    scheduler.set_timesteps(int(steps / denoise), device=start.device)
    x = add_noise(start, noise, timesteps[0])
    for step, timestep in enumerate(timesteps):
        predicted = predict_noise(x, timestep)
        if callback is not None:
            signal = scheduler.alphas_cumprod[timestep].item()
            callback(step, steps, (x - (1 - signal) ** 0.5 * predicted) / signal**0.5)
        x = scheduler.step(predicted, timestep, x).prev_sample
    return x


def pndm_sampler(steps: int, denoise: float = 1.0) -> Sampler:
    """The reference's sampler, see :func:`sample_pndm`."""

    def run(predict_noise: PredictNoise, start: Tensor, noise: Tensor, callback: Callback) -> Tensor:
        def at_timestep(x: Tensor, timestep: int) -> Tensor:
            return predict_noise(x, noise_level(timestep))

        return sample_pndm(at_timestep, start, noise, steps=steps, denoise=denoise, callback=callback)

    return Sampler(tuple(map(noise_level, pndm_timesteps(steps, denoise))), run)


def guided_sampler(network: Network, guidance: Guidance, sampler: Sampler) -> SampleClips:
    """Make a sampler of clips out of a network, guidance and a way through the noise levels.

    Only those branches are evaluated that the guidance needs at a noise level, one after the other.
    """
    edges = tuple(noise_level((TRAIN_TIMESTEPS - 1) * (1 - share)) for share in (guidance.start, guidance.end))

    def sample(conditions: ClipConditions, start: Tensor, noise: Tensor, callback: Callback) -> Tensor:
        b = start.shape[0]
        fps = torch.full((b,), conditions.fps, dtype=torch.long, device=start.device)
        guided = GuidanceRun(guidance, sampler.levels, edges)

        # The tokens of the global frames are the same in all steps.
        @lru_cache
        def inputs(branch: Branch) -> tuple[Tensor, Tensor]:
            context, latents = conditions.inputs(branch)
            return context, network.encode_global(latents[None]).expand(b, -1, -1)

        def predict_noise(x: Tensor, level: float) -> Tensor:
            timesteps = torch.full((b,), nearest_timestep(level), dtype=torch.long, device=x.device)

            def evaluate(branches: tuple[Branch, ...]) -> dict[Branch, Tensor]:
                predictions = {}
                for branch in branches:
                    context, tokens = inputs(branch)
                    predictions[branch] = network(torch.cat([x, context], dim=1), timesteps, tokens, fps).to(x)
                return predictions

            predictions = guided.predict(level, evaluate, unit=level / (1 + level**2))
            return combine(predictions, guided.weights(level))

        return sampler.run(predict_noise, start, noise, callback)

    return sample


def reference_sampler(
    network: Network, *, steps: int, context_scale: float, global_scale: float, denoise: float = 1.0
) -> SampleClips:
    """Make the published sampler around a network: PNDM, guided throughout."""
    return guided_sampler(network, Guidance(context_scale, global_scale), pndm_sampler(steps, denoise))
