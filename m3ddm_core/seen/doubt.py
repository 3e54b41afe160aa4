"""How far an answer is to be believed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .ask import Answer
from .border import Border
from .recipe import CONFIDENT

SPREAD, SEAM, TEXTURE = 7 / 255, 6 / 255, 16 / 255
"""Beyond these an answer is in doubt. The seam's is the one that works: sources that share a wrong motion agree."""
SPREAD_NOISE, SEAM_NOISE = 3.5, 2.8
"""Times the clip's own noise: no limit is below that."""
FEWEST, SPAN = 2, 0.35
"""Frames that are to be compared, and over which share of the gap in time: what has just come into view tells nothing
of what moves there."""
BARE = 2.0
"""Where there are fewer, doubt is so many times as large."""
MOVING, BESIDE, PASSING = 0.2, 0.7, 0.08
"""Of the frames as near in time, and of the frame itself nearby: where something moves in more of them, it may well be
there now. And the chance that something lies there that no frame shows."""
CROWDED = 4.0
"""Doubt grows by so many times the share of the frame nearby that moves by itself."""
DOUBTFUL = 1.25
"""The least doubt in what something may cover, or two motions show differently: still a better guess than a fill."""
SPECK = 5
"""Pixels: what is confident over less is not worth an edge around it."""


def doubt(answer: Answer, noise: float) -> Tensor:
    """From 0, certain, to 1, the usual limit, and above; infinite where nothing was found: (p,)."""
    terms = [
        answer.spread / max(SPREAD, SPREAD_NOISE * noise),
        answer.seam / max(SEAM, SEAM_NOISE * noise),
        answer.texture / max(TEXTURE, SEAM_NOISE * noise),
    ]
    worst = torch.stack(terms).amax(0) * (1 + CROWDED * answer.beside)
    worst = torch.where((answer.count >= FEWEST) & (answer.span >= SPAN), worst, BARE * worst)
    there = (answer.moving > MOVING) | (answer.beside > BESIDE) | (answer.passing > PASSING)
    return torch.where(answer.offset != 0, worst.clamp(min=torch.where(there, DOUBTFUL, 0.0)), torch.inf)


def confidence_of(doubts: Tensor, border: Border) -> Tensor:
    """Confidence (p,), float32, 0..1, half where doubt is at the limit, less in specks."""
    confidence = 1 / (1 + doubts**2)
    whole = _without_specks(border.spread(confidence >= CONFIDENT, True))[border.outside]
    return torch.where(whole, confidence, confidence.clamp(max=CONFIDENT / 2))


def _without_specks(known: Tensor) -> Tensor:
    """Known pixels (h, w), bool, in squares of `SPECK` pixels of which most are known, and what hangs on them."""
    picture = known[None, None].float()
    reach = SPECK // 2
    padded = F.pad(picture, (reach, reach, reach, reach), mode="replicate")
    solid = known[None, None] & (F.avg_pool2d(padded, SPECK, stride=1) > 0.6)
    near = F.max_pool2d(solid.float(), SPECK, stride=1, padding=reach) > 0
    return known & near[0, 0]
