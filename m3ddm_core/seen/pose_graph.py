"""A camera's path that agrees best with all motions measured between its frames."""

from __future__ import annotations

import torch
from torch import Tensor

from .align import Pairs
from .banded import Band
from .motions import Freedom, adjoint, between, motion_of, parameters_of

DOUBT = 9.0
"""A pair that is off by so many times what the middle one is (squared) counts half."""
LEAST = 1e-4
"""No pair counts for less: where it is the only one, it has its way."""


def chained(motions: Tensor) -> Tensor:
    """The path (n, 3, 3), each frame to the middle one, by the ``motions`` (n - 1, 3, 3) from each to the next."""
    n = len(motions) + 1
    path = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
    for number in range(n // 2, n - 1):
        path[number + 1] = path[number] @ torch.linalg.inv(motions[number])
    for number in range(n // 2 - 1, -1, -1):
        path[number] = path[number + 1] @ motions[number]
    return path


def relaxed(path: Tensor, pairs: Pairs, freedom: Freedom, rounds: int) -> Tensor:
    """The path (n, 3, 3) after some rounds of Gauss-Newton; pairs that the others contradict count ever less.

    ``pairs`` lead forward in time.
    """
    certain = pairs.certain * (pairs.explained.double() ** 2)[:, None, None]
    back = torch.linalg.inv(pairs.motions)
    other, count = -adjoint(back, freedom), freedom.count
    weight = torch.ones(len(pairs), dtype=torch.float64)
    for number in range(rounds):
        missed = parameters_of(back @ between(path, pairs.first, pairs.second), count)
        if number:
            # Not at first: a chain fits its own links, and only all pairs together show which of them are wrong.
            cost = torch.einsum("b i, b i j, b j -> b", missed, certain, missed)
            weight = (1 / (1 + cost / (DOUBT * cost.median() + 1e-9))).clamp(min=LEAST)
        band, known = Band(len(path), count), weight[:, None, None] * certain
        band.add(pairs.first, pairs.first, known)
        band.add(pairs.second, pairs.second, other.mT @ known @ other)
        band.add(pairs.first, pairs.second, known @ other)
        pull = (known @ missed[..., None])[..., 0]
        band.add_right(pairs.first, -pull)
        band.add_right(pairs.second, -(other.mT @ pull[..., None])[..., 0])
        path = path @ motion_of(band.solve(len(path) // 2), freedom.bend)
    return path
