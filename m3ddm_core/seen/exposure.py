"""How much brighter each frame is than the others, by what they show of the same places."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from ..frames import resize
from .align import look
from .banded import Band
from .camera import Stretch
from .motions import Window, between, move

SIDE = 64
"""Pixels of the long side that are compared."""
STRIDES = (1, 4, 16)
DARK, BRIGHT = 0.06, 0.95
"""What is darker, or brighter, says nothing: noise, and light that was cut off."""
LEAST = 50
"""Pixels that two frames have to share."""
HELD = 1e-3
"""How much speaks for a gain of 1, in pairs."""
AT_ONCE = 64


def find_gains(frames: Tensor, source: tuple[int, int], stretch: Stretch) -> Tensor:
    """The gain (m, 3) of each of a stretch's frames (m, h, w, 3) and each channel; they mean something to one another.

    Each pair gives the median of the logarithms of its ratios, and the gains are what fits them best.
    """
    height, width = frames.shape[1:3]
    size = tuple(max(8, round(side * min(1.0, SIDE / max(width, height)))) for side in (width, height))
    window = Window(source, size)
    small = rearrange(resize(frames, size), "n h w c -> n c h w")
    distance = stretch.pairs.second - stretch.pairs.first
    pairs = stretch.pairs.chosen(torch.isin(distance, torch.tensor(STRIDES)))
    band = Band(len(frames), 3)
    for some in torch.arange(len(pairs)).split(AT_ONCE):
        first, second = pairs.first[some], pairs.second[some]
        points = move(between(stretch.path, first, second), window.grid())
        true, found = small[first], look(small[second], points, source)
        told = window.shows(points)
        for one in (true, found):
            light = one.mean(1)
            told = told & (light > DARK) & (light < BRIGHT)
        ratio = torch.where(told[:, None], (found.clamp(min=0.01) / true.clamp(min=0.01)).log(), torch.nan)
        enough = told.flatten(1).sum(1) >= LEAST
        brighter = ratio.flatten(2).nanmedian(2).values[enough].double()
        first, second, tie = (
            first[enough],
            second[enough],
            torch.eye(3, dtype=torch.float64).expand(len(brighter), 3, 3),
        )
        band.add(first, first, tie)
        band.add(second, second, tie)
        band.add(first, second, -tie)
        band.add_right(first, -brighter)
        band.add_right(second, brighter)
    every = torch.arange(len(frames))
    band.add(every, every, HELD * torch.eye(3, dtype=torch.float64).expand(len(every), 3, 3))
    return band.solve(len(frames) // 2).exp().float()
