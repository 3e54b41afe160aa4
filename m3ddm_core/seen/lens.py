"""How much a turning camera bends its pictures, which tells how wide its lens is."""

from __future__ import annotations

import torch
from torch import Tensor

from .align import align, overlap
from .motions import PROJECTIVE, Freedom, bent, between, parameters_of
from .pyramid import Pyramid

STRIDES = (32, 16, 8, 4)
PAIRS, FEWEST = 12, 4
"""So many are looked at, and with fewer nothing is said."""
SHARED = 0.5
"""Of the frame: so much both have to show."""
TURNED = 0.15
"""In halves of the long side: over less a bend is too small to be measured, and to matter."""
LEAST, MOST = 0.04, 1.2
"""Lenses of 11 and of 95 degrees along the long side."""
CLEARER = 0.95
"""So much of the error has to be left at most, or the bend is not believed."""


def find_bend(pyramid: Pyramid, first: int, path: Tensor) -> float:
    """The bend of the frames from ``first`` on, whose ``path`` (m, 3, 3) is known about; 0 where none is seen.

    Far pairs are aligned with all that a plane may do. Were they turns alone, what tilts them would be their shift
    times the bend; the middle one of all pairs' answers has to explain them better than no bend does.
    """
    start, stride = _far_pairs(pyramid, path)
    if len(start) < FEWEST:
        return 0.0
    one, other, guess = first + start, first + start + stride, between(path, start, start + stride)
    free = parameters_of(align(pyramid, one, other, guess, freedom=Freedom(PROJECTIVE), levels=2).motions, PROJECTIVE)
    shift, tilt = free[:, :2], free[:, 6:]
    bend = -((tilt * shift).sum(1) / shift.square().sum(1)).median().item()
    if not LEAST <= bend <= MOST:
        return 0.0
    left = []
    for tried in (0.0, bend):
        left.append(
            align(pyramid, one, other, bent(guess, tried), freedom=Freedom(bend=tried), levels=2).error.mean().item()
        )
    return bend if left[1] < CLEARER * left[0] else 0.0


def _far_pairs(pyramid: Pyramid, path: Tensor) -> tuple[Tensor, int]:
    """The first frames of pairs that lie far apart in what they show, and how many frames apart they are."""
    for stride in STRIDES:
        start = torch.arange(0, max(0, len(path) - stride))
        guess = between(path, start, start + stride)
        fit = (overlap(pyramid, guess) >= SHARED) & (guess[:, :2, 2].norm(dim=1) >= TURNED)
        start = start[fit]
        if len(start) >= FEWEST:
            every = torch.linspace(0, len(start) - 1, min(PAIRS, len(start))).round().long()
            return start[every], stride
    return torch.zeros(0, dtype=torch.long), 0
