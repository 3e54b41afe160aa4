"""Several motions in one stretch: a camera that does not only turn lets what is near pass faster than what is far.

Their paths are looked for as *shares* of the motion that was found first: a share of 0 stands still, as the sky does,
and one above 1 lies in front. No free search does as well where motions differ by a pixel a frame.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .camera import STRIDES, Heed, Stretch, follow
from .motions import SIMILARITY, Freedom, between, farthest, motion_of, parameters_of, stay
from .pose_graph import chained
from .pyramid import Pyramid, blur
from .recipe import MOST_MOTIONS
from .trust import FOLLOWS, left_over, nearest_error

SHARES = tuple(step / 10 for step in range(26))
ROLLS = (0.0, 1.0)
"""Shares of the first motion's roll: near and far have it in common, or it was found in error, where one motion stood
for several."""
FRAMES = 6
"""Of a stretch, spread over it, that are looked at."""
APART = 0.05
"""Of the long side: over so much, frames tell near from far."""
GAPS = (1, 2, 4, 8, 16, 32)
FAR_OFF = 60 / 255
"""An error that says no more than that a motion is wrong."""
SOFT = 1.0
"""Pixels over which errors are put together."""
VOTES = 0.07
"""Of what tells motions apart, so much has to speak for one."""
SAME = 3 / 255
"""What two motions leave over may differ by so much and say nothing."""
ALIKE = 1.5
"""Pixels: motions that differ by less, over a gap, are one."""


def _gap_of(pyramid: Pyramid, stretch: Stretch) -> int:
    """The frames over which near and far move apart; 0 where they never do."""
    for gap in GAPS:
        if gap > (len(stretch) - 1) // 3:
            return 0
        first = torch.arange(len(stretch) - gap)
        moved = farthest(between(stretch.path, first, first + gap), stay(len(first)), pyramid.windows[0])
        if moved.median() >= APART * max(pyramid.windows[0].size):
            return gap
    return 0


def find_depths(pyramid: Pyramid, stretch: Stretch, gains: Tensor, heed: Heed = lambda: None) -> list[Stretch]:
    """The motions that a stretch's frames follow, the nearest first; the stretch itself where that is one alone."""
    gap = _gap_of(pyramid, stretch)
    # A camera that turns in place moves all depths alike.
    if not gap or stretch.freedom.bend:
        return [stretch]
    found = min((_swept(pyramid, stretch, gains, gap, roll, heed) for roll in ROLLS), key=lambda swept: swept[0])[1]
    if len(found) < 2:
        return [stretch]
    # What a single motion did beyond a similarity stood in for depth; each depth by itself does no more than that.
    alike = replace(stretch, freedom=Freedom())
    # Shares are steps of a scale: which pixels are whose is only told well by motions that were followed once.
    for strides in ((), STRIDES):
        own = _own_pixels(torch.stack([left_over(pyramid, one, gains, (gap,)) for one in found]))
        where = torch.zeros(len(found), *pyramid.texture.shape, dtype=torch.bool)
        where[:, stretch.first : stretch.first + len(stretch)] = own
        found = [
            follow(pyramid, alike, one.path, pixels, heed, strides) for one, pixels in zip(found, where, strict=True)
        ]
    found = _unlike(pyramid, found, gap)
    return found if len(found) > 1 else [stretch]


def _swept(
    pyramid: Pyramid, stretch: Stretch, gains: Tensor, gap: int, roll: float, heed: Heed
) -> tuple[float, list[Stretch]]:
    """What the shares of a stretch's motion that its frames speak for leave over, and these. ``roll``: the share of its
    roll."""
    numbers = torch.linspace(0, len(stretch) - 1, min(FRAMES, len(stretch))).round().long()
    tried = [replace(stretch, path=_shared(stretch, share, roll)) for share in SHARES]
    left, told = [], pyramid.texture[stretch.first + numbers]
    for one in tried:
        heed()
        error = nearest_error(pyramid, one, gains, gap, numbers)
        left.append(blur(error.clamp(max=FAR_OFF)[:, None], SOFT)[:, 0])
        # What one motion leads out of the picture would speak for a slower one.
        told = told & error.isfinite()
    chosen, least = _elected(torch.stack(left)[:, told])
    return least, [tried[number] for number in chosen]


def _own_pixels(left: Tensor) -> Tensor:
    """The pixels that each motion alone explains, (k, m, h, w), bool, by what each leaves over."""
    could = (left < FOLLOWS) & (left <= left.amin(0) + SAME)
    return could & (could.sum(0) == 1)


def _shared(stretch: Stretch, share: float, roll: float) -> Tensor:
    """The path of what moves by a share of the stretch's motion, and rolls by one."""
    first = torch.arange(len(stretch) - 1)
    steps = parameters_of(between(stretch.path, first, first + 1), SIMILARITY)
    shares = torch.tensor([share, share, share, roll], dtype=torch.float64)
    return chained(motion_of(steps * shares))


def _elected(left: Tensor) -> tuple[list[int], float]:
    """The motions (s, pixels) that most pixels speak for, and what all together leave over.

    A pixel has as much to say as it tells motions apart. The fastest stands for all that are faster.
    """
    says = left.mean(0) - left.amin(0)
    votes = torch.zeros(len(left)).index_add_(0, left.argmin(0), says)[:-1] / says.sum().clamp(min=1e-9)
    chosen = []
    while len(chosen) < MOST_MOTIONS:
        around = F.avg_pool1d(F.pad(votes[None, None], (1, 1)), 3, stride=1)[0, 0] * 3
        number = int(around.argmax())
        if around[number] < VOTES:
            break
        chosen.append(number)
        votes[max(number - 2, 0) : number + 3] = 0
    return chosen, left[chosen].amin(0).mean().item() if chosen else torch.inf


def _unlike(pyramid: Pyramid, found: list[Stretch], gap: int) -> list[Stretch]:
    """Motions that differ, the fastest first."""
    first = torch.arange(len(found[0]) - gap)
    kept: list[tuple[float, Stretch, Tensor]] = []
    for one in found:
        motions = between(one.path, first, first + gap)
        if all(farthest(motions, other, pyramid.windows[0]).median() >= ALIKE for _, _, other in kept):
            speed = farthest(motions, stay(len(first)), pyramid.windows[0]).median().item()
            kept.append((speed, one, motions))
    return [one for _, one, _ in sorted(kept, key=lambda it: -it[0])]
