"""A scene put to the test: an outer band of its own frames is hidden, found again, and compared with what was there."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10

import torch
from torch import Tensor

from .ask import Stretched
from .border import Border
from .camera import Heed
from .doubt import doubt
from .motions import Window, between, move
from .read import read_sharp
from .survey import survey

BAND = 0.15
"""Of a side: how much is hidden, no more than the border that is asked for."""
NARROWEST = 24
"""Pixels that have to be left of a side."""
FRAMES = 12
"""Of a scene, spread over it, that are looked at."""
OFF, MOST_OFF = 25 / 255, 0.015
"""An error that is seen, and the share of pixels that may have one."""
LEAST_PSNR = 27.0
FEWEST = 400
"""Pixels: fewer prove nothing."""
STRICTNESS = (1.0, 0.8, 0.6, 0.45, 0.3)
"""What is tried, the most lenient first."""


@dataclass(frozen=True)
class Verdict:
    """``strictness``: of the usual limits, so much is allowed; 0 where the scene is refused. ``words`` say why."""

    strictness: float
    words: str


def check(frames: Tensor, border: Border, heed: Heed = lambda: None) -> Verdict:
    """Judge a scene's frames (n, h, w, 3), float, 0..1, at the working size."""
    inner = _hidden(border)
    if inner is None:
        return Verdict(STRICTNESS[1], "too small to be checked, so the limits are tighter")
    x, y = (-side for side in inner.target[:2])
    width, height = inner.window.size
    doubts, errors = _tried(frames, frames[:, y : y + height, x : x + width].contiguous(), inner, heed)
    for strictness in STRICTNESS:
        own = errors[doubts <= strictness]
        if len(own) < FEWEST:
            break
        off = (own.abs().mean(-1) > OFF).float().mean().item()
        psnr = -10 * log10(max(own.square().mean().item(), 1e-10))
        if off <= MOST_OFF and psnr >= LEAST_PSNR:
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


def _tried(frames: Tensor, shown: Tensor, inner: Border, heed: Heed) -> tuple[Tensor, Tensor]:
    """The doubts (q,) and errors (q, 3) of the hidden pixels that other frames show."""
    doubts, errors = [torch.zeros(0)], [torch.zeros(0, 3)]
    for stretched in survey(shown, inner, heed):
        first, count = stretched.stretch.first, len(stretched.stretch)
        every = max(1, len(frames) // FRAMES)
        for number in range(every // 2, count, every):
            heed()
            answer = stretched.ask(number)
            if answer is None:
                continue
            doubts.append(doubt(answer, stretched.trust.noise))
            errors.append(
                _found(stretched, shown[first : first + count], number, answer.offset)
                - frames[first + number][inner.outside]
            )
    doubts, errors = torch.cat(doubts), torch.cat(errors)
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
