"""A scene's frames followed and weighed, stretch by stretch, so that they can be asked about their borders."""

from __future__ import annotations

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
        found.append(
            [
                Stretched(soft, border, motion, find_trust(pyramid, motion, gains), gains, texture)
                for motion in find_depths(pyramid, stretch, gains, heed)
            ]
        )
    return found
