"""From a video's length to the clips that fill it: which frames, in which order, which side by side.

Only numbers in and out. A clip is 16 entries of a strided list of frames; coarse strides come first, so that the
finer ones find known frames to hold on to (arXiv 2309.02119, section 3.3).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

CLIP_LENGTH = 16
CLIP_STEP = CLIP_LENGTH - 1
"""Clips start every 15 entries: the last entry of one is the first of the next."""

THREE_LEVEL_FRAMES = 50
"""Videos with fewer frames are filled at stride 1 alone."""

KEYFRAME_STRIDE = 15
INTERPOLATION_STRIDE = 5
INFILL_STRIDE = 1


@dataclass(frozen=True)
class Clip:
    """Sixteen frames that are sampled together.

    ``indices`` are frame numbers, the video's last frame repeated where a clip is filled up; ``known`` says which of
    them are known before the clip is sampled; the network gets the video's frame rate divided by ``stride``.
    """

    stride: int
    indices: tuple[int, ...]
    known: tuple[bool, ...]

    @property
    def generated(self) -> dict[int, int]:
        """Frame number to position of every frame that this clip makes; of repeated frames the first copy counts."""
        positions: dict[int, int] = {}
        for position, (index, known) in enumerate(zip(self.indices, self.known, strict=True)):
            if not known:
                positions.setdefault(index, position)
        return positions


Wave = tuple[Clip, ...]
"""Clips that do not depend on one another: they may be sampled in any order, or at once."""


def levels(num_frames: int) -> tuple[int, ...]:
    """Return the strides that a video of so many frames goes through, coarsest first."""
    if num_frames < THREE_LEVEL_FRAMES:
        return (INFILL_STRIDE,)
    return (KEYFRAME_STRIDE, INTERPOLATION_STRIDE, INFILL_STRIDE)


def strided_frames(num_frames: int, stride: int, guides: Collection[int] = ()) -> tuple[int, ...]:
    """List the frames that the clips of one stride are cut from.

    That is every ``stride``-th frame, and such ``guides`` (frames known from the outset) as would otherwise be passed
    over: those further than half a stride from every guide already listed. Without them a last frame given by the
    user would not be seen until the infill.
    """
    listed = set(range(0, num_frames, stride))
    near = sorted(listed.intersection(guides))
    for guide in sorted(set(guides) - listed):
        if all(2 * abs(guide - other) > stride for other in near):
            listed.add(guide)
            near.append(guide)
    return tuple(sorted(listed))


def plan_stage(
    num_frames: int, stride: int, known: Collection[int] = (), guides: Collection[int] = ()
) -> tuple[Wave, ...]:
    """Plan one level of a video of ``num_frames`` frames.

    ``known`` holds the numbers of all frames known so far, ``guides`` those of them that were known before the first
    level. Clips in which nothing is unknown are left out. Clips that touch something known come before those that do
    not, so that a chain grows from the guides outward, backwards too; with nothing known it runs from the first frame.
    No clip ends just before a known frame that it does not see: there clips overlap by more than one frame. The waves
    are to be sampled in order; a clip comes in the first wave in which all that earlier clips make for it is there.

    Raises ``ValueError`` for fewer than one frame or a stride below one.
    """
    if num_frames < 1 or stride < 1:
        raise ValueError(
            f"got {num_frames} frames at stride {stride}, expected at least one frame and a stride from 1 up"
        )
    listed = strided_frames(num_frames, stride, guides)
    # In some lengths the published plan ends short of the list's end and leaves the rest to the finer levels. Guides
    # may lie there, so with guides the whole list is covered.
    last = len(listed) - 1 if guides else num_frames // stride - 1
    starts = list(range(0, max(1, last), CLIP_STEP))

    settled = set(known)
    wave_of: dict[int, int] = {}
    waves: list[list[Clip]] = []
    while starts:
        planned = next((s for s in starts if not settled.isdisjoint(listed[s : s + CLIP_LENGTH])), starts[0])
        start = _holding_on(listed, planned, settled)
        if start == planned:
            starts.remove(planned)
        window = listed[start : start + CLIP_LENGTH]
        indices = window + (num_frames - 1,) * (CLIP_LENGTH - len(window))
        clip = Clip(stride, indices, tuple(index in settled for index in indices))
        if all(clip.known):
            continue
        number = 1 + max((wave_of[index] for index in indices if index in wave_of), default=-1)
        if number == len(waves):
            waves.append([])
        waves[number].append(clip)
        settled.update(clip.generated)
        wave_of.update(dict.fromkeys(clip.generated, number))
    return tuple(tuple(wave) for wave in waves)


def _holding_on(listed: Sequence[int], start: int, settled: Collection[int]) -> int:
    """Where a clip is to start in place of ``start`` so that it does not end just before a frame that is known.

    Frames made anew between others (those of guides far apart, or of a range that was forgotten) must meet both. A
    clip that would end so moves on, if possible no farther than to a known frame; what it leaves out comes later.
    """

    def misses_the_next(start: int) -> bool:
        end = listed[start + CLIP_STEP : start + CLIP_LENGTH + 1]
        return len(end) == 2 and end[0] not in settled and end[1] in settled

    if not misses_the_next(start):
        return start
    # One entry on the clip ends with the frame it missed, so there is always one that will do.
    others = [other for other in range(start + 1, start + CLIP_STEP) if not misses_the_next(other)]
    anchored = [other for other in others if listed[other] in settled]
    return (anchored or others)[len(anchored or others) // 2]


def plan_video(
    num_frames: int, strides: Sequence[int] | None = None, guides: Collection[int] = (), known: Collection[int] = ()
) -> tuple[tuple[Wave, ...], ...]:
    """Plan every level of a video: one entry a stride, each a sequence of waves (see `plan_stage`).

    ``strides`` default to those of `levels`; ``guides`` are the frames known from the outset, ``known``
    those made since.
    """
    known = {*guides, *known}
    stages = []
    for stride in levels(num_frames) if strides is None else strides:
        stage = plan_stage(num_frames, stride, known, guides)
        known.update(index for wave in stage for clip in wave for index in clip.generated)
        stages.append(stage)
    return tuple(stages)
