"""Whether a camera stands still: then no frame shows more than another, and nothing is looked for."""

from __future__ import annotations

import torch
from torch import Tensor

from .align import align
from .motions import farthest, stay
from .pyramid import build_pyramid

EVERY = 6
"""Frames: between two that are looked at nobody turns a camera there and back again."""
SIDE = 72
"""Pixels of the long side: enough for a twentieth of a pixel."""
SURE = 0.7
"""Of what has texture, so much has to stay where it is."""
MOVES = 0.5
"""Pixels of the working size: less brings nothing into view."""


def is_still(frames: Tensor, source: tuple[int, int]) -> bool:
    """Whether the camera of a scene's frames (n, h, w, 3), float, 0..1, stands still from its first to its last."""
    height, width = frames.shape[1:3]
    looked_at = [*range(0, len(frames) - 1, EVERY), len(frames) - 1]
    pyramid = build_pyramid(frames[looked_at], source, SIDE)
    others = torch.arange(1, len(pyramid))
    if not len(others):
        return True
    pairs = align(pyramid, torch.zeros_like(others), others)
    moved = farthest(pairs.motions, stay(len(pairs)), pyramid.windows[0]) * max(width, height) / SIDE
    return bool(((pairs.explained >= SURE) & (moved < MOVES)).all())
