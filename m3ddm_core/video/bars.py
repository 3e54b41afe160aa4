"""Black bars around a picture, found in frames from all over a video.

A bar is what is never anything but black, and ends in a straight, sharp edge along which most of the picture is at some
time bright. A dark scene is not: its dark side has no such edge, or lies on one side alone, where bars come in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .crop import Crop
from .source import Source

SAMPLES = 32
"""Frames that are looked at: the brightest of as many parts of the video."""

BLACK = 0.075
"""What black may be: a little above the 16 of 255 that a file has which says wrongly that it uses the whole range."""
BRIGHT = 0.14
"""From here on a pixel is certainly no bar."""
ALL_BLACK, MOSTLY_BRIGHT = 0.98, 0.5
"""Of the pixels of a line: within a bar, and where the picture begins. The rest may be noise, or dark scenery."""
SOFT = 4
"""Lines between bar and picture that are neither, where a video was scaled with its bars."""

STEEPER = 2
"""A bar's edge is so many times as steep as what the picture begins with."""

ALIKE = 1.25
"""A bar may be so many times as wide as the one across."""
THIN = 0.03
"""Of a side: what is no wider may be on one side alone, as where a tape's picture does not fill the frame."""


@dataclass(frozen=True)
class Bars:
    """Black bars: what to take off to be rid of them, and in ``remark`` what was dark and is no bar, if anything."""

    crop: Crop
    remark: str = ""

    def __str__(self) -> str:
        found = f"black bars: {self.crop}" if self.crop else "no black bars"
        return f"{found}; {self.remark}" if self.remark else found


def find_bars(source: Source, on_frame: Callable[[], None] = lambda: None) -> Bars:
    """Read a video once and find its bars, to the pixel. ``on_frame`` is called for each frame that is read."""
    return bars_around(_brightest_ever(source, on_frame), even=True)


def hint_of_bars(thumbnails: Tensor) -> bool:
    """Whether a video seems to have bars, by its thumbnails (n, h, w, 3), uint8: thin ones are not seen there."""
    return bool(bars_around(thumbnails.amax((0, 3)).float() / 255, soft=1).crop)


def bars_around(ever: Tensor, soft: int = SOFT, even: bool = False) -> Bars:
    """The bars around a picture (h, w), 0..1: how bright each pixel of a video is at its brightest.

    ``even``: take a line more off where otherwise a side would be left odd, which encoders do not take.
    """
    top, bottom, remark = _pair(ever, ("top", "bottom"), soft, even)
    inner = ever[top : len(ever) - bottom].T
    left, right, beside = _pair(inner, ("left", "right"), soft, even)
    return Bars(Crop(top, bottom, left, right), "; ".join(filter(None, (remark, beside))))


def _pair(lines: Tensor, names: tuple[str, str], soft: int, even: bool) -> tuple[int, int, str]:
    """How wide the bars at the first and the last of lines (n, m) are, and what is to be said of what is no bar."""
    count = len(lines)
    first, last = _width(lines, soft), _width(lines.flip(0), soft)
    wide, narrow = max(first, last), min(first, last)
    if wide > THIN * count and wide > ALIKE * narrow + 1:
        side = names[0] if first > last else names[1]
        return 0, 0, f"{wide} dark lines at the {side} have no match across and are taken for a dark picture"
    if wide and even and (count - first - last) % 2:
        first, last = (first + 1, last) if first >= last else (first, last + 1)
    return first, last, ""


def _width(lines: Tensor, soft: int) -> int:
    """How many of the first of lines (n, m) are a bar, with up to ``soft`` between it and the picture."""
    black = (lines <= BLACK).float().mean(1) >= ALL_BLACK
    within = int(black.long().cumprod(0).sum())
    if within in (0, len(lines)):
        return 0
    light = lines.mean(1)
    for line in range(within, min(within + soft + 1, len(lines) - soft)):
        # A picture that fades to its edges goes on getting brighter.
        sharp = light[line] - light[within - 1] >= STEEPER * (light[line + soft] - light[line])
        if sharp and (lines[line] >= BRIGHT).float().mean() >= MOSTLY_BRIGHT:
            return line
    return 0


def _brightest_ever(source: Source, on_frame: Callable[[], None]) -> Tensor:
    """(h, w): of each pixel the brightest that its brightest colour is in the frames that are looked at."""
    ever = torch.zeros(source.info.size[::-1])
    for frame in _some(source, _numbers(source.thumbnails), on_frame):
        torch.maximum(ever, frame.amax(-1), out=ever)
    return ever


def _numbers(thumbnails: Tensor) -> set[int]:
    """Which frames are looked at: the brightest of each part of the video, (n, h, w, 3), uint8."""
    light = torch.cat([part.float().mean((1, 2, 3)) for part in thumbnails.split(512)])
    ends = [round(part * len(light) / SAMPLES) for part in range(SAMPLES + 1)]
    return {start + int(light[start:end].argmax()) for start, end in pairwise(ends) if start < end}


def _some(source: Source, numbers: set[int], on_frame: Callable[[], None]) -> Iterator[Tensor]:
    last = max(numbers)
    for number, frame in enumerate(source.frames()):
        on_frame()
        if number in numbers:
            yield frame
        if number == last:
            return
