"""The published sampler: the PLMS variant of PNDM (arXiv 2202.09778)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from .clip import Callback, Network, PredictNoise, SampleClips, Sampler, guided_sampler
from .guidance import Guidance
from .schedule import TRAIN_TIMESTEPS, add_noise, noise_level, signal_shares


def require_steps(steps: int, denoise: float) -> None:
    """Raise ``ValueError`` for fewer than one step or a ``denoise`` outside (0, 1]."""
    if steps < 1 or not 0 < denoise <= 1:
        raise ValueError(f"got steps={steps}, denoise={denoise}; expected at least one step and denoise in (0, 1]")


def pndm_timesteps(steps: int, denoise: float = 1.0) -> list[int]:
    """Return the ``steps`` timesteps of `sample_pndm`: the clean end of those for ``steps / denoise`` steps.

    Raises ``ValueError`` for fewer than one step, a ``denoise`` outside (0, 1], and more steps than timesteps.
    """
    stride = pndm_stride(steps, denoise)
    latest, *others = range((int(steps / denoise) - 1) * stride + 1, 0, -stride)
    # PLMS takes its first step twice, the second time with the mean of the noise at both ends, so a list has to name
    # its second timestep twice. diffusers' does; the published loop drops the first entry of it and begins with the
    # pair. Of a shorter list the tail has no pair: without one every later step would be one too far on.
    timesteps = [latest, *others[:1], *others]
    if len(timesteps) == steps + 1 or steps < 3:
        return timesteps[-steps:]
    first, second, *rest = timesteps[1 - steps :]
    return [first, second, second, *rest]


def pndm_stride(steps: int, denoise: float) -> int:
    """Return how many training timesteps one step goes down. Raises as `pndm_timesteps`."""
    require_steps(steps, denoise)
    total = int(steps / denoise)
    if total > TRAIN_TIMESTEPS or steps == TRAIN_TIMESTEPS:
        raise ValueError(
            f"got steps={steps}, denoise={denoise}, the end of {total} steps; expected fewer than the "
            f"{TRAIN_TIMESTEPS} timesteps of the training: take fewer steps or a higher denoise"
        )
    return TRAIN_TIMESTEPS // total


def sample_pndm(
    predict_noise: Callable[[Tensor, int], Tensor],
    start: Tensor,
    noise: Tensor,
    *,
    steps: int,
    denoise: float = 1.0,
    callback: Callback | None = None,
) -> Tensor:
    """Denoise with the published sampler, the PLMS variant of PNDM (arXiv 2202.09778).

    ``predict_noise(x, timestep)`` is evaluated ``steps`` times. ``denoise`` in (0, 1] is the part of the schedule
    that is gone through, from its clean end: the start latents are noised to where it begins. At 1.0 the timesteps
    are the published ones, which leave out the noisiest one: 961, 961, 941, ..., 1 for 50 steps.
    """
    timesteps, stride = pndm_timesteps(steps, denoise), pndm_stride(steps, denoise)
    begin = x = add_noise(start, noise, timesteps[0])
    answers: list[Tensor] = []
    for step, timestep in enumerate(timesteps):
        predicted = predict_noise(x, timestep)
        if callback is not None:
            signal = signal_shares()[timestep].item()
            callback(step, steps, (x - (1 - signal) ** 0.5 * predicted) / signal**0.5)
        if step == 1:
            x = transfer(begin, (predicted + answers[0]) / 2, timestep + stride, timestep)
        else:
            answers = [*answers[-3:], predicted]
            x = transfer(x, extrapolate(answers), timestep, timestep - stride)
    return x


def extrapolate(answers: Sequence[Tensor]) -> Tensor:
    """The noise of a step from that at its beginning, last of ``answers``, and at up to three before it.

    The linear multistep method of Adams and Bashforth, of as high an order as there are answers: the paper's gradient
    part.
    """
    e = answers[::-1]
    if len(e) == 1:
        return e[0]
    if len(e) == 2:
        return (3 * e[0] - e[1]) / 2
    if len(e) == 3:
        return (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12
    return (1 / 24) * (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3])


def transfer(x: Tensor, noise: Tensor, timestep: int, later: int) -> Tensor:
    """Take noisy latents from a timestep to a ``later``, cleaner one along their noise: the paper's transfer part.

    Below timestep 0 stands timestep 0, as Stable Diffusion 1.5 has it (diffusers: ``set_alpha_to_one`` false).
    """
    now, then = signal_shares()[timestep], signal_shares()[max(later, 0)]
    unit = now * (1 - then) ** 0.5 + (now * (1 - now) * then) ** 0.5
    return (then / now) ** 0.5 * x - (then - now) * noise / unit


def pndm_sampler(steps: int, denoise: float = 1.0) -> Sampler:
    """The published sampler, see `sample_pndm`."""

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
