"""What is taken for each pixel of a border, of all that a stretch's motions lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .ask import Stretched
from .doubt import DOUBTFUL, doubt

CONTRADICT = 18 / 255
"""Two motions that lead to colours so far apart are both in doubt: only one of them can lie in front."""


@dataclass(frozen=True, eq=False)
class Finding:
    """For each pixel of the border (p,): the frame it is taken from, less the frame's own number (0: none), the number
    of the ``motion`` that leads there, and the doubt in it (see `doubt`)."""

    offset: Tensor
    motion: Tensor
    doubts: Tensor


def find(motions: Sequence[Stretched], strictness: Sequence[float], number: int) -> Finding | None:
    """What a stretch's ``motions`` find of the border of its frame ``number``; None where no frame shows any of it.

    ``strictness``: of the usual limits, so much is allowed to each of them, 0 for none. Doubts are measured by it.
    """
    answers = [
        (place, answer, doubt(answer, motion.trust.noise) / allowed)
        for place, (motion, allowed) in enumerate(zip(motions, strictness, strict=True))
        if allowed and (answer := motion.ask(number)) is not None
    ]
    if not answers:
        return None
    places, found, doubts = zip(*answers, strict=True)
    doubts, colours = torch.stack(doubts), torch.stack([answer.colour for answer in found])
    least, which = doubts.min(0)
    taken = colours.gather(0, which[None, :, None].expand(1, -1, 3))
    apart = ((colours - taken).abs().mean(-1) > CONTRADICT) & (doubts <= 1)
    offsets = torch.stack([answer.offset for answer in found]).gather(0, which[None])[0]
    return Finding(offsets, torch.tensor(places)[which], torch.where(apart.any(0), least.clamp(min=DOUBTFUL), least))
