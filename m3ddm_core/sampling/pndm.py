"""The published sampler: the PLMS variant of PNDM (arXiv 2202.09778)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .clip import Callback, Network, PredictNoise, SampleClips, Sampler, guided_sampler
from .guidance import Guidance
from .schedule import add_noise, noise_level, noise_schedule


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


def reference_sampler(
    network: Network, *, steps: int, context_scale: float, global_scale: float, denoise: float = 1.0
) -> SampleClips:
    """Make the published sampler around a network: PNDM, guided throughout."""
    return guided_sampler(network, Guidance(context_scale, global_scale), pndm_sampler(steps, denoise))
