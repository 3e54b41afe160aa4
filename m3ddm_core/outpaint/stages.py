"""The stage loop: one level of a video, or all of them, with the sampler as a callable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from ..journal.clips import ClipJournal
from ..sampling.clip import Callback, SampleClips
from .clips import clip_inputs, require_finite, with_clips
from .plan import Clip, Wave, levels, plan_stage, plan_video
from .state import OutpaintState


class Progress(NamedTuple):
    """Where a stage stands: ``done`` of ``total`` clip steps, and the clips being sampled as they now look.

    ``denoised`` is (b, 4, 16, h, w), model space; ``steps``: of each clip. ``taken``: these clips were not sampled but
    taken from the journal, whole; they count as clips of one step.
    """

    done: int
    total: int
    clips: tuple[Clip, ...]
    denoised: Tensor
    steps: int
    taken: bool = False

    @property
    def clip_count(self) -> int:
        """How many clips there are in all."""
        return self.total // self.steps

    @property
    def clip_number(self) -> int:
        """Which of them is being made, from 1; of several at once, as if they were made one by one."""
        return -(-self.done // self.steps)


def outpaint_stage(
    state: OutpaintState,
    stride: int,
    sample: SampleClips,
    *,
    seed: int,
    clips_per_batch: int = 1,
    guide_noise: int = 0,
    journal: ClipJournal | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> OutpaintState:
    """Sample every clip of one level and return the state in which their frames are known.

    ``clips_per_batch`` clips of a wave are handed to ``sample`` at once; the result does not depend on it.
    ``guide_noise`` is the timestep, 0 to 999, to which the known frames that a clip is shown are noised (condition
    perturbation, LVDM, arXiv 2211.13221); what is stored of them stays clean. ``seed`` draws the noise: the same for
    every clip, as the published code has it. ``journal``: where finished clips are kept, and taken from if an earlier
    run made them; the result does not depend on it.

    Raises `NonFiniteLatents`, naming frames and step, and ``ValueError`` for values out of range.
    """
    if clips_per_batch < 1:
        raise ValueError(f"got clips_per_batch={clips_per_batch}, expected 1 or more")
    if not 0 <= guide_noise <= 999:
        raise ValueError(f"got guide_noise={guide_noise}, expected a timestep in 0..999, 0 for none")
    waves = plan_stage(state.num_frames, stride, state.known, state.guides)
    total = sum(len(wave) for wave in waves)
    done = 0
    for wave in waves:
        for clips in batches(wave, clips_per_batch):
            inputs = clip_inputs(state, clips, seed=seed, guide_noise=guide_noise)
            keys = journal.keys(*inputs) if journal else ()
            taken = journal.take(keys) if journal else None
            latents = sample(*inputs, watch(clips, done, total, on_progress)) if taken is None else taken
            state = with_clips(state, clips, latents)
            done += len(clips)
            if journal and taken is None:
                journal.put(keys, latents)
            elif taken is not None and on_progress is not None:
                on_progress(Progress(done, total, clips, latents, steps=1, taken=True))
    return state


def outpaint_video(
    state: OutpaintState,
    sample: SampleClips,
    *,
    seed: int,
    strides: Sequence[int] | None = None,
    clips_per_batch: int = 1,
    guide_noise: int = 0,
    journal: ClipJournal | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> OutpaintState:
    """Run all levels of a video, those of its length unless ``strides`` are given.

    ``on_progress`` gets the clip steps of the whole video. The rest is as in `outpaint_stage`.
    """
    strides = levels(state.num_frames) if strides is None else strides
    counts = [
        sum(len(wave) for wave in stage) for stage in plan_video(state.num_frames, strides, state.guides, state.known)
    ]
    for number, stride in enumerate(strides):
        state = outpaint_stage(
            state,
            stride,
            sample,
            seed=seed,
            clips_per_batch=clips_per_batch,
            guide_noise=guide_noise,
            journal=journal,
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


def watch(clips: tuple[Clip, ...], done: int, total: int, on_progress: Callable[[Progress], None] | None) -> Callback:
    """Make a sampler's callback that checks every step's latents and reports the stage's progress."""

    def callback(step: int, steps: int, denoised: Tensor) -> None:
        require_finite(denoised, clips, f"in step {step + 1} of {steps}")
        if on_progress is not None:
            reached = done * steps + (step + 1) * len(clips)
            on_progress(Progress(reached, total * steps, clips, denoised, steps))

    return callback
