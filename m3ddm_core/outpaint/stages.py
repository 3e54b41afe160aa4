"""The stage loop: one level of a video, or all of them, with the sampler as a callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from ..journal.clips import ClipJournal
from ..sampling.clip import Callback, SampleClips
from ..sampling.wave import Batch, OneByOne, WaveSampler
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
    sample: SampleClips | WaveSampler,
    *,
    seed: int,
    clips_per_batch: int = 1,
    guide_noise: int = 0,
    journal: ClipJournal | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> OutpaintState:
    """Sample every clip of one level and return the state in which their frames are known.

    ``clips_per_batch`` clips of a wave are handed to ``sample`` at once; the result does not depend on it, nor on
    whether a `WaveSampler` samples the batches of a wave side by side.
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
    sampler = sample if isinstance(sample, WaveSampler) else OneByOne(sample)
    level = _Level(state, sum(len(wave) for wave in waves), journal, on_progress)
    for wave in waves:
        coming = level.batches(batches(wave, clips_per_batch), seed=seed, guide_noise=guide_noise)
        for number, latents in sampler.sample_wave(coming):
            level.finish(number, latents)
    return level.state


class _Level:
    """A level while its clips are sampled: the state so far, and how far each batch is that is under way."""

    def __init__(
        self,
        state: OutpaintState,
        total: int,
        journal: ClipJournal | None,
        on_progress: Callable[[Progress], None] | None,
    ):
        self.state, self._total = state, total
        self._journal, self._on_progress = journal, on_progress
        self._done = 0
        self._steps_of: dict[int, int] = {}
        self._under_way: dict[int, tuple[tuple[Clip, ...], tuple[str, ...]]] = {}

    def batches(self, wave: Iterable[tuple[Clip, ...]], *, seed: int, guide_noise: int) -> Iterator[Batch]:
        """Make the batches of a wave that are to be sampled, when they are asked for; those in the journal are not."""
        number = 0
        for clips in wave:
            inputs = clip_inputs(self.state, clips, seed=seed, guide_noise=guide_noise)
            keys = self._journal.keys(*inputs) if self._journal else ()
            taken = self._journal.take(keys) if self._journal else None
            if taken is not None:
                self._take(clips, taken)
                continue
            self._under_way[number] = clips, keys
            yield Batch(*inputs, watch(clips, self._reached(number, len(clips)), self._total, self._on_progress))
            number += 1

    def finish(self, number: int, latents: Tensor) -> None:
        """Put the latents of a batch into the state, and into the journal."""
        clips, keys = self._under_way.pop(number)
        self.state = with_clips(self.state, clips, latents)
        self._steps_of.pop(number, None)
        self._done += len(clips)
        if self._journal:
            self._journal.put(keys, latents)

    def _take(self, clips: tuple[Clip, ...], latents: Tensor) -> None:
        self.state = with_clips(self.state, clips, latents)
        self._done += len(clips)
        if self._on_progress is not None:
            self._on_progress(Progress(self._done, self._total, clips, latents, steps=1, taken=True))

    def _reached(self, number: int, clips: int) -> Callable[[int, int], int]:
        """Make what counts the clip steps that are done when a batch has done some of its own."""

        def reached(step: int, steps: int) -> int:
            self._steps_of[number] = (step + 1) * clips
            return self._done * steps + sum(self._steps_of.values())

        return reached


def outpaint_video(
    state: OutpaintState,
    sample: SampleClips | WaveSampler,
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


def watch(
    clips: tuple[Clip, ...],
    reached: Callable[[int, int], int],
    total: int,
    on_progress: Callable[[Progress], None] | None,
) -> Callback:
    """Make a sampler's callback that checks every step's latents and reports the stage's progress.

    ``reached(step, steps)``: how many clip steps of the stage are then done.
    """

    def callback(step: int, steps: int, denoised: Tensor) -> None:
        require_finite(denoised, clips, f"in step {step + 1} of {steps}")
        done = reached(step, steps)
        if on_progress is not None:
            on_progress(Progress(done, total * steps, clips, denoised, steps))

    return callback
