"""A scene's frames followed and weighed, stretch by stretch, so that they can be asked about their borders."""

from __future__ import annotations

from torch import Tensor

from .ask import Stretched
from .border import Border
from .camera import Heed, find_stretches
from .exposure import find_gains
from .pyramid import build_pyramid
from .trust import find_trust


def survey(frames: Tensor, border: Border, heed: Heed = lambda: None) -> list[Stretched]:
    """The stretches of a scene's frames (n, h, w, 3), float, 0..1, that lie in the border's window."""
    source = border.window.source
    pyramid = build_pyramid(frames, source)
    found = []
    for stretch in find_stretches(pyramid, heed):
        own = slice(stretch.first, stretch.first + len(stretch))
        gains = find_gains(frames[own], source, stretch)
        trust = find_trust(pyramid, stretch, gains)
        found.append(Stretched(frames[own], border, stretch, trust, gains, pyramid.texture[own]))
    return found
