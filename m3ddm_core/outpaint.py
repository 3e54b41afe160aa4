"""The stage loop: one level of a video, or all of them, with the sampler as a callable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor

from .plan import CLIP_LENGTH, Clip, Wave, levels, plan_stage, plan_video
from .sampling import Callback, ClipConditions, SampleClips, add_noise
from .state import OutpaintState


class Progress(NamedTuple):
    """Where a stage stands: ``done`` of ``total`` clip steps, and the clips being sampled as they now look.

    ``denoised`` is (b, 4, 16, h, w), model space; ``steps``: of each clip.
    """

    done: int
    total: int
    clips: tuple[Clip, ...]
    denoised: Tensor
    steps: int

    @property
    def clip_count(self) -> int:
        """How many clips there are in all."""
        return self.total // self.steps

    @property
    def clip_number(self) -> int:
        """Which of them is being made, from 1; of several at once, as if they were made one by one."""
        return -(-self.done // self.steps)


class NonFiniteLatents(ValueError):
    """A clip came out with NaN or infinite latents; nothing of it is kept."""


def outpaint_stage(
    state: OutpaintState,
    stride: int,
    sample: SampleClips,
    *,
    seed: int,
    clips_per_batch: int = 1,
    guide_noise: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> OutpaintState:
    """Sample every clip of one level and return the state in which their frames are known.

    ``clips_per_batch`` clips of a wave are handed to ``sample`` at once; the result does not depend on it.
    ``guide_noise`` is the timestep, 0 to 999, to which the known frames that a clip is shown are noised (condition
    perturbation, LVDM, arXiv 2211.13221); what is stored of them stays clean. ``seed`` draws the noise: the same for
    every clip, as the release has it.

    Raises :class:`NonFiniteLatents`, naming frames and step, and ``ValueError`` for values out of range.
    """
    if clips_per_batch < 1:
        raise ValueError(f"got clips_per_batch={clips_per_batch}, expected 1 or more")
    if not 0 <= guide_noise <= 999:
        raise ValueError(f"got guide_noise={guide_noise}, expected a timestep in 0..999, 0 for none")
    waves = plan_stage(state.frames, stride, state.known, state.guides)
    total = sum(len(wave) for wave in waves)
    done = 0
    for wave in waves:
        for clips in batches(wave, clips_per_batch):
            conditions, start, noise = clip_inputs(state, clips, seed=seed, guide_noise=guide_noise)
            latents = sample(conditions, start, noise, watch(clips, done, total, on_progress))
            state = with_clips(state, clips, latents)
            done += len(clips)
    return state


def with_clips(state: OutpaintState, clips: Sequence[Clip], latents: Tensor) -> OutpaintState:
    """Return the state in which the frames that sampled clips (b, 4, 16, h, w) make are known.

    Raises :class:`NonFiniteLatents`, and ``ValueError`` for latents of another shape.
    """
    shape = (len(clips), state.start.shape[1], CLIP_LENGTH, *state.start.shape[2:])
    if latents.shape != shape:
        raise ValueError(
            f"got a sampled clip of shape {tuple(latents.shape)}, expected {shape}: as many frames and as large as "
            "the clip was before it was sampled"
        )
    require_finite(latents, clips, "after its last step")
    return state.with_results(
        {
            index: latents[row, :, position].to(state.latents)
            for row, clip in enumerate(clips)
            for index, position in clip.generated.items()
        }
    )


def ready_clip(state: OutpaintState, stride: int, number: int) -> Clip:
    """Return one of the clips of a level that can be sampled now, counted from 0.

    They depend on nothing that is yet to be sampled; with a clip's result in the state, others take their place. Raises
    ``ValueError`` where the level is done, or there is no such clip now.
    """
    waves = plan_stage(state.frames, stride, state.known, state.guides)
    if not waves:
        raise ValueError(
            f"got a state in which nothing is left to sample at stride {stride}, expected an unfinished level: go on "
            "with the next stride, the last of which is 1"
        )
    ready, total = waves[0], sum(len(wave) for wave in waves)
    if not 0 <= number < len(ready):
        raise ValueError(
            f"got clip number {number}, expected 0 to {len(ready) - 1}: of the {total} clips left at stride {stride} "
            f"only {len(ready)} can be sampled now. Put their results into the state first; the next is number 0 then"
        )
    return ready[number]


def outpaint_video(
    state: OutpaintState,
    sample: SampleClips,
    *,
    seed: int,
    strides: Sequence[int] | None = None,
    clips_per_batch: int = 1,
    guide_noise: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> OutpaintState:
    """Run all levels of a video, those of its length unless ``strides`` are given.

    ``on_progress`` is told of the clip steps of the whole video. The rest is as in :func:`outpaint_stage`.
    """
    strides = levels(state.frames) if strides is None else strides
    counts = [
        sum(len(wave) for wave in stage) for stage in plan_video(state.frames, strides, state.guides, state.known)
    ]
    for number, stride in enumerate(strides):
        state = outpaint_stage(
            state,
            stride,
            sample,
            seed=seed,
            clips_per_batch=clips_per_batch,
            guide_noise=guide_noise,
            on_progress=on_progress and over_video(on_progress, counts, number),
        )
    return state


def over_video(
    on_progress: Callable[[Progress], None], counts: Sequence[int], number: int
) -> Callable[[Progress], None]:
    """Make the report of one stage, which has ``counts[number]`` clips, one of all stages."""

    def report(progress: Progress) -> None:
        done = sum(counts[:number]) * progress.steps + progress.done
        on_progress(progress._replace(done=done, total=sum(counts) * progress.steps))

    return report


def batches(wave: Wave, size: int) -> Iterator[tuple[Clip, ...]]:
    """Cut a wave into runs of at most ``size`` clips."""
    for first in range(0, len(wave), size):
        yield wave[first : first + size]


def clip_inputs(
    state: OutpaintState, clips: Sequence[Clip], *, seed: int, guide_noise: int
) -> tuple[ClipConditions, Tensor, Tensor]:
    """Gather conditions, start latents and noise (b, 4, 16, h, w) of clips of one stride.

    Known frames show their latents with a mask of zero, in both kinds of context. The noise is drawn on the CPU from
    ``seed``, once for all clips.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, state.start.shape[1], CLIP_LENGTH, *state.start.shape[2:])
    noise, guide_draw = (torch.randn(shape, generator=generator).to(state.start) for _ in range(2))
    noise, guide_draw = (draw.expand(len(clips), *shape[1:]) for draw in (noise, guide_draw))

    indices = torch.tensor([clip.indices for clip in clips])
    known = rearrange(torch.tensor([clip.known for clip in clips]), "b f -> b 1 f 1 1").to(state.start.device)

    def frames_of(video: Tensor) -> Tensor:
        return rearrange(video[indices], "b f c h w -> b c f h w")

    guides = frames_of(state.latents)
    if guide_noise > 0:
        guides = add_noise(guides, guide_draw, guide_noise)
    blank = repeat(state.blank, "1 c h w -> b c f h w", b=len(clips), f=CLIP_LENGTH)
    masks = frames_of(state.masks).masked_fill(known, 0)
    conditions = ClipConditions(
        context=torch.cat([torch.where(known, guides, frames_of(state.masked)), masks], dim=1),
        no_context=torch.cat([torch.where(known, guides, blank), (~known).to(masks).expand_as(masks)], dim=1),
        global_latents=state.global_latents,
        fps=int(state.fps // clips[0].stride),
    )
    return conditions, frames_of(state.start), noise


def watch(clips: tuple[Clip, ...], done: int, total: int, on_progress: Callable[[Progress], None] | None) -> Callback:
    """Make a sampler's callback that checks every step's latents and reports the stage's progress."""

    def callback(step: int, steps: int, denoised: Tensor) -> None:
        require_finite(denoised, clips, f"in step {step + 1} of {steps}")
        if on_progress is not None:
            reached = done * steps + (step + 1) * len(clips)
            on_progress(Progress(reached, total * steps, clips, denoised, steps))

    return callback


def require_finite(latents: Tensor, clips: Sequence[Clip], when: str) -> None:
    """Raise :class:`NonFiniteLatents` naming the first clip of a batch (b, ...) that holds NaN or infinity."""
    if torch.isfinite(latents).all():
        return
    row = next(row for row, clip in enumerate(latents) if not torch.isfinite(clip).all())
    first, last, stride = clips[row].indices[0], clips[row].indices[-1], clips[row].stride
    raise NonFiniteLatents(
        f"got NaN or infinite latents {when} in the clip of frames {first} to {last} (stride {stride}); nothing of it "
        "was kept. Load the checkpoint in another weight dtype (bf16 or fp32), lower the guidance scales, or check "
        "the VAE and the source frames"
    )
