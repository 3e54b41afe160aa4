"""A scene put to the test: an outer band of its own frames is hidden, found again, and compared with what was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import NamedTuple

import torch
from torch import Tensor

from .ask import Stretched
from .border import Border
from .camera import Heed, Stretch
from .doubt import doubt
from .motions import Window, between, move
from .read import read_sharp
from .recipe import MOST_MOTIONS
from .survey import survey

BAND = 0.15
"""Of a side: how much is hidden, no more than the border that is asked for."""
NARROWEST = 24
"""Pixels that have to be left of a side."""
FRAMES = 12
"""Of a scene, spread over it, that are looked at."""
OFF, MOST_OFF = 25 / 255, 0.015
"""An error that is seen, and the share of pixels that may have one."""
MOST_OFF_EACH = MOST_OFF / 2
"""The same for each of several motions: one may hide what another leads to."""
LEAST_PSNR = 27.0
FEWEST = 400
"""Pixels: fewer prove nothing."""
OVER, ALIKE = 8, 0.02
"""Over so many frames motions that are the same differ by less, as a share of the long side."""
STRICTNESS = (1.0, 0.8, 0.6, 0.45, 0.3)
"""What is tried, the most lenient first."""


@dataclass(frozen=True)
class Verdict:
    """``strictness``: of the usual limits, so much is allowed; 0 where a motion is refused. ``words`` say why."""

    strictness: float
    words: str


class Checks:
    """The verdicts on a scene's motions: one on each, the nearest first, over all the stretches that have so many."""

    def __init__(self, verdicts: Sequence[Verdict], tried: Sequence[Sequence[Tried]]):
        self.verdicts, self._tried = verdicts, tried

    @property
    def words(self) -> str:
        """Of all of them."""
        told = "; ".join(verdict.words for verdict in self.verdicts)
        return told if len(self.verdicts) == 1 else f"{len(self.verdicts)} depths, the nearest first: {told}"

    def of(self, motions: Sequence[Stretched]) -> list[float]:
        """The strictness for each of the ``motions`` of one of the scene's stretches: that of the tried one like it.

        One that shows in the hidden band alone could not be tried: its limits are tighter, and the others' are its. A
        single motion is the one that was tried, where that was a single one too.
        """
        if len(motions) == len(self.verdicts) == 1:
            return [self.verdicts[0].strictness]
        return [self._like(Tried(motion.stretch, motion.window)) for motion in motions]

    def _like(self, motion: Tried) -> float:
        alike = [
            verdict.strictness
            for verdict, tried in zip(self.verdicts, self._tried, strict=True)
            if any(are_alike(motion, one) for one in tried)
        ]
        return min(alike or [STRICTNESS[1], *(verdict.strictness for verdict in self.verdicts)])


class Tried(NamedTuple):
    """A motion of some frames, seen through a window."""

    stretch: Stretch
    window: Window


def are_alike(one: Tried, other: Tried) -> bool:
    """Whether two motions of the same frames shift the middle of both windows alike, wherever both have frames."""
    first = max(one.stretch.first, other.stretch.first)
    last = min(one.stretch.first + len(one.stretch), other.stretch.first + len(other.stretch))
    start = torch.arange(first, max(first, last - 1))
    if not len(start):
        return False
    end = (start + OVER).clamp(max=last - 1)
    shifts = [
        between(stretch.path, start - stretch.first, end - stretch.first)[:, :2, 2] * window.scale
        for stretch, window in (one, other)
    ]
    return bool((shifts[0] - shifts[1]).norm(dim=1).median() < ALIKE * max(one.window.size))


def check(frames: Tensor, border: Border, heed: Heed = lambda: None) -> Checks:
    """Judge a scene's frames (n, h, w, 3), float, 0..1, at the working size."""
    inner = _hidden(border)
    if inner is None:
        return Checks([Verdict(STRICTNESS[1], "too small to be checked, so the limits are tighter")], [[]])
    x, y = (-side for side in inner.target[:2])
    width, height = inner.window.size
    shown = frames[:, y : y + height, x : x + width].contiguous()
    tried = [_Trial() for _ in range(MOST_MOTIONS)]
    for motions in survey(shown, inner, heed):
        for trial, motion in zip(tried, motions, strict=False):
            trial.add(motion, frames, shown, heed)
    tried = [trial for trial in tried if trial.motions] or tried[:1]
    most_off = MOST_OFF if len(tried) == 1 else MOST_OFF_EACH
    return Checks([_judged(*trial.found(), most_off) for trial in tried], [trial.motions for trial in tried])


def _judged(doubts: Tensor, errors: Tensor, most_off: float) -> Verdict:
    """The verdict on hidden pixels that were found again, from their doubts (q,) and errors (q, 3)."""
    for strictness in STRICTNESS:
        own = errors[doubts <= strictness]
        if len(own) < FEWEST:
            break
        off = (own.abs().mean(-1) > OFF).float().mean().item()
        psnr = -10 * log10(max(own.square().mean().item(), 1e-10))
        if off <= most_off and psnr >= LEAST_PSNR:
            return Verdict(strictness, f"checked on {len(own)} hidden pixels: {psnr:.1f} dB, {off:.1%} far off")
    if (doubts <= 1).sum() < FEWEST:
        return Verdict(STRICTNESS[1], "little could be checked, so the limits are tighter")
    own = errors[doubts <= 1]
    off = (own.abs().mean(-1) > OFF).float().mean().item()
    return Verdict(0.0, f"refused: of {len(own)} hidden pixels found again {off:.1%} were far off")


def _hidden(border: Border) -> Border | None:
    """The frames as the target of a smaller window: hidden on the sides that have a border."""
    x, y, wide, high = border.target
    width, height = border.window.size
    borders = (-x, -y, wide + x - width, high + y - height)
    left, top, right, bottom = (
        min(side, max(2, round(BAND * length))) if side else 0
        for side, length in zip(borders, (width, height, width, height), strict=True)
    )
    size = (width - left - right, height - top - bottom)
    if min(size) < NARROWEST:
        return None
    return Border(Window(size, size), (-left, -top, width, height))


class _Trial:
    """The hidden pixels that some motions lead to."""

    def __init__(self) -> None:
        self.motions: list[Tried] = []
        self._doubts, self._errors = [torch.zeros(0)], [torch.zeros(0, 3)]

    def add(self, motion: Stretched, frames: Tensor, shown: Tensor, heed: Heed) -> None:
        """Try a motion on frames of which less is ``shown``."""
        first, count = motion.stretch.first, len(motion.stretch)
        self.motions.append(Tried(motion.stretch, motion.window))
        every = max(1, len(frames) // FRAMES)
        for number in range(every // 2, count, every):
            heed()
            answer = motion.ask(number)
            if answer is None:
                continue
            self._doubts.append(doubt(answer, motion.trust.noise))
            self._errors.append(
                _found(motion, shown[first : first + count], number, answer.offset)
                - frames[first + number][motion.border.outside]
            )

    def found(self) -> tuple[Tensor, Tensor]:
        """The doubts (q,) and errors (q, 3) of what other frames show."""
        doubts, errors = torch.cat(self._doubts), torch.cat(self._errors)
        found = doubts.isfinite()
        return doubts[found], errors[found]


def _found(stretched: Stretched, frames: Tensor, number: int, offset: Tensor) -> Tensor:
    """The pixels (p, 3) of the border of frame ``number`` of a stretch."""
    found = torch.zeros(len(offset), 3)
    for step in offset.unique().tolist():
        here = offset == step
        other = torch.tensor([number + step])
        motion = between(stretched.stretch.path, torch.tensor([number]), other)
        spots = stretched.window.pixels(move(motion, stretched.border.points[here])[0])
        gain = stretched.gains[number] / stretched.gains[number + step]
        found[here] = (read_sharp(frames, other.expand(len(spots)), spots) * gain).clamp(0, 1)
    return found
