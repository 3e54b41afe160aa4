"""How far a stretch's path explains its frames: which pixels follow it, and which links from frame to frame hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .align import EXPLAINED, look
from .camera import Stretch
from .motions import Window, between, farthest, move
from .pyramid import Pyramid, blur

GAP = 4
"""Frames: over so many, and twice as many, what moves by itself leaves the camera's motion."""
BRIEF = (2, 1)
"""Frames, where no frame so far away shows a pixel."""
FOLLOWS = 12 / 255
"""An error beyond which a pixel does not follow."""
OUTLINE = 0.02
"""Of the long side: so far around what moves by itself nothing is believed either."""
HOLDS = 0.7
"""The share of textured pixels that a link has to explain."""
NEAR = 5
JUMP = 0.025
"""Of the frame's side: no camera leaves what it did in the frames around by more."""
JUMPS = 5.0
"""Times what it usually leaves it by."""
UNSURE = 0.5
"""Pixels at the frame's corners that a link may be uncertain by."""
AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Trust:
    """``follows`` (m, h, w), bool: pixels that move as the camera says. ``broken`` (m,), int: how many links have
    broken before a frame. ``noise``: the usual error from a frame to the next."""

    follows: Tensor
    broken: Tensor
    noise: float


def find_trust(pyramid: Pyramid, stretch: Stretch, gains: Tensor) -> Trust:
    """Look at every pixel and link of a stretch; ``gains`` (m, 3) of its frames."""
    m = len(stretch)
    first = torch.arange(m - 1)
    error = _errors(pyramid, stretch, gains, first, first + 1)
    told = pyramid.texture[stretch.first : stretch.first + m - 1] & error.isfinite()
    explained = (told & (error < EXPLAINED)).flatten(1).sum(1) / told.flatten(1).sum(1).clamp(min=1)
    noise = error[error.isfinite()].median().item() if error.isfinite().any() else 0.0
    breaks = (explained < HOLDS) | _jumps(pyramid.windows[0], stretch) | _unsure(pyramid.windows[0], stretch)
    broken = torch.cat([torch.zeros(1, dtype=torch.long), breaks.long().cumsum(0)])
    near = max(1, min(GAP, (m - 1) // 3))
    leaves = left_over(pyramid, stretch, gains, (near, 2 * near)) >= FOLLOWS
    reach = round(OUTLINE * max(leaves.shape[1:]))
    around = F.max_pool2d(leaves[:, None].float(), (2 * reach + 1, 1), stride=1, padding=(reach, 0))
    follows = F.max_pool2d(around, (1, 2 * reach + 1), stride=1, padding=(0, reach))[:, 0] == 0
    return Trust(follows, broken, noise)


def left_over(pyramid: Pyramid, stretch: Stretch, gains: Tensor, gaps: Sequence[int]) -> Tensor:
    """What the camera leaves unexplained around each pixel, (m, h, w): the mean error over some ``gaps`` in frames.
    Infinite where nothing can be compared."""
    every = torch.arange(len(stretch))
    height, width = pyramid.texture.shape[1:]
    total, seen = torch.zeros(len(every), height, width), torch.zeros(len(every), height, width)
    for gap in gaps:
        best = nearest_error(pyramid, stretch, gains, gap, every)
        total += torch.where(best.isfinite(), best, 0.0)
        seen += best.isfinite()
    for gap in BRIEF:
        # What a scene's first or last frames alone have in view is no longer, or not yet, there so much later.
        some = (seen == 0).flatten(1).any(1).nonzero().flatten()
        best = nearest_error(pyramid, stretch, gains, gap, some)
        brief = (seen[some] == 0) & best.isfinite()
        total[some] += torch.where(brief, best, 0.0)
        seen[some] += brief
    sigma = max(1.0, 0.015 * max(height, width))
    around, known = blur(total[:, None], sigma)[:, 0], blur(seen[:, None], sigma)[:, 0]
    return torch.where(known > 0.1, around / known.clamp(min=1e-3), torch.inf)


def nearest_error(pyramid: Pyramid, stretch: Stretch, gains: Tensor, gap: int, numbers: Tensor) -> Tensor:
    """What the camera misses frames ``numbers`` (b,) by, a gap before or after, whichever is less: (b, h, w).

    What something covers in the one has not moved in the other. Infinite where neither shows anything.
    """
    best = torch.full((len(numbers), *pyramid.texture.shape[1:]), torch.inf)
    for step in (gap, -gap):
        has = ((numbers + step >= 0) & (numbers + step < len(stretch))).nonzero().flatten()
        error = _errors(pyramid, stretch, gains, numbers[has], numbers[has] + step)
        best[has] = torch.minimum(best[has], error)
    return best


def _errors(pyramid: Pyramid, stretch: Stretch, gains: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """What frames ``second`` show in place of frames ``first``, (b, h, w); infinite where nothing."""
    planes, window = pyramid.levels[0], pyramid.windows[0]
    grid, found = window.grid(), []
    for some in torch.arange(len(first)).split(AT_ONCE):
        one, other = first[some], second[some]
        points = move(between(stretch.path, one, other), grid)
        gain = (gains[one] / gains[other]).mean(1)[:, None, None, None]
        made = look(planes[stretch.first + other], points, window.source) * gain
        error = (made - planes[stretch.first + one]).square().sum(1).sqrt()
        found.append(torch.where(window.shows(points), error, torch.inf))
    return torch.cat(found) if found else torch.zeros(0, *planes.shape[-2:])


def _jumps(window: Window, stretch: Stretch) -> Tensor:
    """Links over which the camera does what it does not before and after: then it followed something else."""
    m = len(stretch)
    every = torch.arange(m - 1)
    steps = between(stretch.path, every, every + 1)
    around = (every[:, None] + torch.arange(-NEAR, NEAR + 1)).clamp(0, m - 2)
    left = farthest(steps, steps[around].median(1).values, window)
    limit = max(JUMP * max(window.size), JUMPS * left.median().item())
    return left > limit


def _unsure(window: Window, stretch: Stretch) -> Tensor:
    """Links whose motion the frames do not tell: a sky, a wall, stripes along the way."""
    pairs = stretch.pairs.chosen(stretch.pairs.second - stretch.pairs.first == 1)
    count = pairs.certain.shape[-1]
    held = pairs.certain + 1e-6 * torch.eye(count, dtype=torch.float64)
    spread = torch.linalg.inv(held).diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    moved = torch.zeros(len(pairs), dtype=torch.float64)
    # A shift moves the corners by itself, all else by their distance from the middle.
    for k in range(count):
        moved += (spread[:, k] * (1.0 if k < 2 else 1.2)) ** 2
    return moved.sqrt() * max(window.scale) > UNSURE
