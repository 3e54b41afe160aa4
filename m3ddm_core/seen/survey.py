"""A scene's frames followed and weighed, stretch by stretch, so that they can be asked about their borders."""

from __future__ import annotations

import torch
from torch import Tensor

from .ask import Stretched, softened
from .border import Border
from .camera import Heed, find_stretches
from .depths import find_depths
from .exposure import find_gains
from .pyramid import build_pyramid
from .trust import find_trust


def survey(frames: Tensor, border: Border, heed: Heed = lambda: None) -> list[list[Stretched]]:
    """The stretches of a scene's frames (n, h, w, 3), float, 0..1, that lie in the border's window: of each all motions
    that its frames follow, the nearest first."""
    source = border.window.source
    pyramid = build_pyramid(frames, source)
    found = []
    for stretch in find_stretches(pyramid, heed):
        own = slice(stretch.first, stretch.first + len(stretch))
        gains, soft, texture = find_gains(frames[own], source, stretch), softened(frames[own]), pyramid.texture[own]
        depths = find_depths(pyramid, stretch, gains, heed)
        trusts = [find_trust(pyramid, motion, gains) for motion in depths]
        restless = 1 - torch.stack([trust.follows for trust in trusts]).any(0).float().mean().item()
        found.append(
            [
                Stretched(soft, border, motion, trust, gains, texture, restless)
                for motion, trust in zip(depths, trusts, strict=True)
            ]
        )
    return found
