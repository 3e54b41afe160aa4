"""How far M3DDM Outpaint Video has come, in ticks of one bar and in words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import comfy.model_management

from ...m3ddm_core.outpaint.plan import CLIP_LENGTH, plan_video
from ...m3ddm_core.outpaint.stages import Progress
from ...m3ddm_core.outpaint.time_left import Pace, time_left
from ...m3ddm_core.video.scenes import Scene
from ...m3ddm_core.video.source import OnFrame
from .progress import Bar

TICKS = 10_000
SCAN_TICKS = 500
"""Of the bar's ticks, those for looking through the video, when it is not yet known how much else there is to do."""


class Pass(NamedTuple):
    """One time through the video: width and height of its canvas, and its strides, None for those of each length."""

    canvas: tuple[int, int]
    strides: tuple[int, ...] | None


def scan_report(bar: Bar) -> OnFrame:
    """Make what is told of each frame when a file is looked through."""

    def report(done: int, expected: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.show(SCAN_TICKS * done // expected, TICKS, None, f"looking through the video, frame {done}")

    return report


def plan_work(scenes: Sequence[Scene], steps: int, passes: Sequence[Pass], bar: Bar) -> list[Work]:
    """The work of each pass over all scenes; of the bar it has a share by the pixels of its canvas."""
    lengths = [0 if scene.is_full else len(scene) for scene in scenes]
    work = [
        Work(lengths, strides, steps, bar, f"{name} pass, " if len(passes) > 1 else "")
        for (_, strides), name in zip(passes, ("first", "second"), strict=False)
    ]
    ends = list(
        accumulate(part.total * width * height for part, ((width, height), _) in zip(work, passes, strict=True))
    )
    for part, first, last in zip(work, [0, *ends], ends, strict=False):
        part.ticks = tuple(SCAN_TICKS + (TICKS - SCAN_TICKS) * end // max(ends[-1], 1) for end in (first, last))
    return work


class Work:
    """How much of the encoding and sampling of all scenes is done: in frames, each counted once for the VAE and once
    for every step of a clip that it is in."""

    def __init__(self, lengths: list[int], strides: Sequence[int] | None, steps: int, bar: Bar, name: str):
        self.ends = list(accumulate(lengths))
        clips = [
            sum(len(wave) for stage in plan_video(length, strides) for wave in stage) if length else 0
            for length in lengths
        ]
        self.sampling = [CLIP_LENGTH * steps * count for count in clips]
        self.frames, self.total = self.ends[-1], self.ends[-1] + sum(self.sampling)
        self.done_encoding = self.done_sampling = 0
        self.encoding_pace, self.sampling_pace = Pace(), Pace()
        self.strides, self.bar, self.name = strides, bar, name
        self.ticks = SCAN_TICKS, TICKS
        """Those between which the bar moves."""

    def encoded(self) -> None:
        """Another frame is about to go through the VAE."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        scene = bisect_right(self.ends, self.done_encoding)
        self.done_encoding += 1
        self.sampling_pace.pause()
        self.encoding_pace.reached(self.done_encoding)
        self._tell(scene, f"reading frame {self.done_encoding} of {self.frames}", None)

    def sampled(self, scene: int, progress: Progress) -> None:
        """A step of some clips of a scene was made."""
        part = self.sampling[scene] * progress.done // progress.total
        self.done_sampling = sum(self.sampling[:scene]) + part
        self.encoding_pace.pause()
        self.sampling_pace.reached(self.done_sampling)
        self._tell(scene, f"clip {progress.clip_number} of {progress.clip_count}", progress)

    def _tell(self, scene: int, what: str, progress: Progress | None) -> None:
        done = self.done_encoding + self.done_sampling
        first, last = self.ticks
        where = f"scene {scene + 1} of {len(self.ends)}, " if len(self.ends) > 1 else ""
        left = time_left(
            self.encoding_pace.seconds_for(self.frames - self.done_encoding),
            self.sampling_pace.seconds_for(self.total - self.frames - self.done_sampling),
        )
        # How long a step of another pass takes is not known before it has begun.
        only = " in this pass" if left and self.name else ""
        tick = first + (last - first) * done // self.total
        self.bar.show(tick, TICKS, progress and progress.denoised[0], f"{self.name}{where}{what}{left}{only}")
