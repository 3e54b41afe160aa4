"""How far a video has come, scene by scene and clip by clip: as a share of all the work, and in words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from torch import Tensor

from ..outpaint.plan import CLIP_LENGTH, plan_video
from ..outpaint.stages import Progress
from ..outpaint.state import OutpaintState
from ..outpaint.time_left import Pace, time_left
from .scenes import Scene
from .source import OnFrame

SCAN_SHARE = 0.05
"""Of the work, looking through the video, when it is not yet known how much else there is to do."""


class Standing(NamedTuple):
    """Where the work stands: the ``share`` that is done, 0..1, and what is being done, in words.

    ``clip`` (4, 16, h, w): the clip being sampled as it now looks, in model space, and ``latent_rgb`` what its
    latents look like, see `OutpaintState`; None while nothing is sampled.
    """

    share: float
    text: str
    clip: Tensor | None = None
    latent_rgb: Tensor | None = None


Report = Callable[[Standing], None]
"""Called after every frame that is looked at, read or written, and after every step of a clip; it may raise."""


class Pass(NamedTuple):
    """One time through the video: width and height of its canvas, and its strides, None for those of each length."""

    canvas: tuple[int, int]
    strides: tuple[int, ...] | None


def scan_report(report: Report) -> OnFrame:
    """Make the callback that reports each frame when a file is looked through."""

    def on_frame(done: int, expected: int) -> None:
        report(Standing(SCAN_SHARE * done / expected, f"looking through the video, frame {done}"))

    return on_frame


def frame_report(report: Report, what: str, count: int) -> Callable[[int], None]:
    """Make the callback for work on ``count`` frames: it takes the number, from 1, of each frame once it is done.

    what: is being done, such as "finishing".
    """
    pace = Pace()

    def on_frame(number: int) -> None:
        pace.reached(number)
        left = time_left(pace.seconds_for(count - number))
        report(Standing(number / count, f"{what} frame {number} of {count}{left}"))

    return on_frame


def plan_work(scenes: Sequence[Scene], steps: int, passes: Sequence[Pass], report: Report) -> list[Work]:
    """The work of each pass over all scenes; of all there is it is a share by the pixels of its canvas."""
    work = [
        Work(
            [0 if scene.is_made(number) else len(scene) for scene in scenes],
            *(strides, steps, report, f"{name} pass, " if len(passes) > 1 else ""),
        )
        for number, ((_, strides), name) in enumerate(zip(passes, ("first", "second"), strict=False))
    ]
    ends = list(
        accumulate(part.total * width * height for part, ((width, height), _) in zip(work, passes, strict=True))
    )
    for part, first, last in zip(work, [0, *ends], ends, strict=False):
        part.shares = tuple(SCAN_SHARE + (1 - SCAN_SHARE) * end / max(ends[-1], 1) for end in (first, last))
    return work


def clips_of(length: int, strides: Sequence[int] | None) -> int:
    """How many clips a scene of so many frames has in a pass."""
    return sum(len(wave) for stage in plan_video(length, strides) for wave in stage) if length else 0


class Work:
    """How much of the encoding and sampling of all scenes is done: in frames, each counted once for the VAE and once
    for every step of a clip that it is in."""

    def __init__(self, lengths: list[int], strides: Sequence[int] | None, steps: int, report: Report, name: str):
        self.ends = list(accumulate(lengths))
        self.sampling = [CLIP_LENGTH * steps * clips_of(length, strides) for length in lengths]
        self.num_frames, self.total = self.ends[-1], self.ends[-1] + sum(self.sampling)
        self.done_encoding = 0
        self.parts = [0] * len(lengths)
        self.encoding_pace, self.sampling_pace = Pace(), Pace()
        self.strides, self.report, self.name = strides, report, name
        self.shares = SCAN_SHARE, 1.0
        """Those of all the work at which this pass begins and ends."""

    @property
    def done_sampling(self) -> int:
        """Of all scenes, several of which may be sampled side by side."""
        return sum(self.parts)

    @property
    def left(self) -> int:
        """How much of this pass is not done yet."""
        return self.total - self.done_encoding - self.done_sampling

    def encoded(self) -> None:
        """Another frame is about to go through the VAE."""
        scene = bisect_right(self.ends, self.done_encoding)
        self.done_encoding += 1
        self.sampling_pace.pause()
        self.encoding_pace.reached(self.done_encoding)
        share, text = self._standing(scene, f"reading frame {self.done_encoding} of {self.num_frames}")
        self.report(Standing(share, text))

    def sampled(self, scene: int, state: OutpaintState, progress: Progress) -> None:
        """A step of some clips of a scene was made, or all of their steps by an earlier run."""
        self.parts[scene] = self.sampling[scene] * progress.done // progress.total
        self.encoding_pace.pause()
        if progress.taken:
            # How long sampling takes is not to be judged by clips that took none of it.
            self.sampling_pace.pause()
        self.sampling_pace.reached(self.done_sampling)
        share, text = self._standing(scene, f"clip {progress.clip_number} of {progress.clip_count}")
        self.report(Standing(share, text, progress.denoised[0], state.latent_rgb))

    def _standing(self, scene: int, what: str) -> tuple[float, str]:
        first, last = self.shares
        where = f"scene {scene + 1} of {len(self.ends)}, " if len(self.ends) > 1 else ""
        left = time_left(
            self.encoding_pace.seconds_for(self.num_frames - self.done_encoding),
            self.sampling_pace.seconds_for(self.total - self.num_frames - self.done_sampling),
        )
        # How long a step of another pass takes is not known before it has begun.
        only = " in this pass" if left and self.name else ""
        done = self.done_encoding + self.done_sampling
        return first + (last - first) * done / self.total, f"{self.name}{where}{what}{left}{only}"
