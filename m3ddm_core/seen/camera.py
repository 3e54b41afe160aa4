"""The camera's path through a scene, in stretches that hold together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .align import Pairs, align, overlap
from .lens import find_bend
from .motions import AFFINE, Freedom, bent, between, farthest, stay
from .pose_graph import chained, relaxed
from .pyramid import Pyramid

STRIDES = (2, 4, 8, 16, 32)
SEARCH = 0.2
"""Of the frame's side: how far the camera may turn from one frame to the next."""
WELL = 0.85
"""A motion that explains less is looked for once more, beside what the camera does before and after."""
TORN, APART = 0.35, 0.2
"""Where less is explained, or less is shown by both, a stretch ends."""
SHORTEST = 4
"""Frames of a stretch that there is anything to learn from."""
LEAST_OVERLAP, LEAST_EXPLAINED = 0.35, 0.5
"""Of pairs that lie farther apart."""
SLACK, SLACK_A_FRAME = 0.02, 0.1
"""How far a pair may leave the path, as a share of the frame, and in pixels a frame: farther, it followed something
else."""
Heed = Callable[[], None]
"""Called now and then while a scene is worked on; it may raise, to stop."""
FREER = 0.02
"""So much more has to be explained before a camera may do more than shift, turn and zoom."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """The frames from ``first`` on, and their ``path`` (m, 3, 3) to one of them.

    ``pairs``: what it hangs on, numbered from 0. ``freedom``: what the camera was taken to do.
    """

    first: int
    path: Tensor
    pairs: Pairs
    freedom: Freedom

    def __len__(self) -> int:
        return len(self.path)


def find_stretches(pyramid: Pyramid, heed: Heed = lambda: None) -> list[Stretch]:
    """The stretches of a scene over which the camera can be followed."""
    if len(pyramid) < SHORTEST:
        return []
    neighbours, freedom = _neighbours(pyramid)
    torn = ((neighbours.explained < TORN) | (neighbours.overlap < APART)).nonzero().flatten().tolist()
    ends = [*(number + 1 for number in torn), len(pyramid)]
    return [
        _stretch(pyramid, first, neighbours.chosen(torch.arange(first, end - 1)), freedom, heed)
        for first, end in zip([0, *ends], ends, strict=False)
        if end - first >= SHORTEST
    ]


def _neighbours(pyramid: Pyramid) -> tuple[Pairs, Freedom]:
    """The motion from each frame to the next, and what it may be."""
    first = torch.arange(len(pyramid) - 1)
    found = align(pyramid, first, first + 1, search=SEARCH)
    doubtful = (found.explained < WELL).nonzero().flatten()
    if len(doubtful):
        usual = _around(found)[doubtful]
        again = align(pyramid, first[doubtful], first[doubtful] + 1, usual)
        whole = Pairs.joined([found, again])
        better = torch.arange(len(found))
        wins = again.explained > found.explained[doubtful]
        better[doubtful[wins]] = len(found) + wins.nonzero().flatten()
        found = whole.chosen(better)
    freer = align(pyramid, first, first + 1, found.motions, freedom=Freedom(AFFINE), levels=2)
    if (freer.explained - found.explained).mean() > FREER:
        return freer, Freedom(AFFINE)
    return found, Freedom()


def _around(neighbours: Pairs, reach: int = 4) -> Tensor:
    """The median motion of those before and after each, (b, 3, 3)."""
    n = len(neighbours)
    near = (torch.arange(n)[:, None] + torch.arange(-reach, reach + 1)).clamp(0, n - 1)
    motions = torch.where((neighbours.explained < TORN)[:, None, None], stay(1), neighbours.motions)
    return motions[near].median(1).values


def _stretch(pyramid: Pyramid, first: int, neighbours: Pairs, freedom: Freedom, heed: Heed) -> Stretch:
    bend = find_bend(pyramid, first, chained(neighbours.motions))
    if bend:
        freedom = Freedom(bend=bend)
        start = bent(neighbours.motions, bend)
        neighbours = align(pyramid, neighbours.first, neighbours.second, start, freedom=freedom, levels=2)
    pairs = _counted_from(neighbours, first)
    path = relaxed(chained(pairs.motions), pairs, freedom, rounds=1)
    return _tied(pyramid, Stretch(first, path, pairs, freedom), heed, None)


def follow(
    pyramid: Pyramid,
    stretch: Stretch,
    path: Tensor,
    where: Tensor,
    heed: Heed = lambda: None,
    strides: Sequence[int] = STRIDES,
) -> Stretch:
    """Another path (m, 3, 3) through a stretch's frames, found better: by the pixels ``where`` (n, h, w), bool, of all
    of the pyramid's frames alone. ``strides``: how far apart the frames lie that it is tied by, beside neighbours."""
    one, first, window = torch.arange(len(path) - 1), stretch.first, pyramid.windows[0]
    guess = between(path, one, one + 1)
    pairs = align(pyramid, one + first, one + 1 + first, guess, freedom=stretch.freedom, levels=2, where=where)
    # A few pixels may lead anywhere: there the guess holds, for as much as a pixel's worth.
    leads = (pairs.explained >= LEAST_EXPLAINED) & (farthest(guess, pairs.motions, window) <= SLACK * min(window.size))
    certain = torch.eye(pairs.certain.shape[-1], dtype=torch.float64) * max(window.scale) ** 2
    held = replace(pairs, motions=guess, certain=certain.expand_as(pairs.certain), explained=torch.ones(len(pairs)))
    pairs = _counted_from(held.where(leads, pairs), first)
    path = relaxed(path, pairs, stretch.freedom, rounds=2)
    return _tied(pyramid, replace(stretch, path=path, pairs=pairs), heed, where, strides)


def _tied(
    pyramid: Pyramid, stretch: Stretch, heed: Heed, where: Tensor | None, strides: Sequence[int] = STRIDES
) -> Stretch:
    """A stretch whose path also agrees with the motions between frames that lie farther apart."""
    first, path, pairs, freedom = stretch.first, stretch.path, stretch.pairs, stretch.freedom
    for stride in strides:
        heed()
        start = torch.arange(0, max(0, len(path) - stride), max(1, stride // 4))
        guess = between(path, start, start + stride)
        both = overlap(pyramid, guess) >= LEAST_OVERLAP
        if not both.any():
            break
        start, guess = start[both], guess[both]
        found = align(pyramid, start + first, start + stride + first, guess, freedom=freedom, levels=3, where=where)
        found = _counted_from(found, first)
        allowed = SLACK * min(pyramid.windows[0].size) + SLACK_A_FRAME * stride
        agrees = farthest(guess, found.motions, pyramid.windows[0]) <= allowed
        kept = found.chosen(agrees & (found.explained >= LEAST_EXPLAINED))
        pairs = Pairs.joined([pairs, kept])
        path = relaxed(path, pairs, freedom, rounds=4)
    return Stretch(first, path, pairs, freedom)


def _counted_from(pairs: Pairs, first: int) -> Pairs:
    return replace(pairs, first=pairs.first - first, second=pairs.second - first)
