"""Frames that move within a larger, still frame, and where that shows nothing of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..frames import drop_alpha
from .limits import require_memory_to_hold


def move_frames(
    frames: Tensor, corners: list[tuple[int, int]], size: tuple[int, int] = (0, 0), mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Put each frame with its top-left corner where it belongs; what reaches beyond the larger frame is cropped.

    frames: (n, h, w, 3 or 4), float; alpha is dropped.
    corners: (x, y) of each frame, whole pixels, so that every pixel stays what it is.
    size: (width, height) of the larger frame. A side of 0 becomes the shortest that crops nothing, and along it the
        leftmost or topmost corner is at 0.
    mask: (h, w), (1, h, w) or (n, h, w), float, for frames parts of which show nothing already.

    Returns frames (n, H, W, 3), black where there is nothing, and the mask (n, H, W), float32: 1 there, elsewhere the
    given one or 0. Raises ValueError for an empty video, a mask of other frames, a path that no frame is seen
    on, or more than the memory holds.
    """
    if frames.ndim != 4 or not len(frames):
        raise ValueError(f"got frames of shape {tuple(frames.shape)}, expected at least one frame: (n, h, w, 3)")
    n, height, width = frames.shape[:3]
    mask = None if mask is None else _mask_of(mask, n, (width, height))
    (left, wide), (top, high) = (
        _span([corner[axis] for corner in corners], length, size[axis]) for axis, length in ((0, width), (1, height))
    )
    require_memory_to_hold(n, (wide, high))
    frames = drop_alpha(frames)
    moved = frames.new_zeros(n, high, wide, 3)
    nothing = torch.ones(n, high, wide)
    seen = False
    for number, (x, y) in enumerate(corners):
        (to_x, from_x), (to_y, from_y) = _overlap(x - left, width, wide), _overlap(y - top, height, high)
        moved[number, to_y, to_x] = frames[number, from_y, from_x]
        nothing[number, to_y, to_x] = 0 if mask is None else mask[number % len(mask), from_y, from_x]
        seen = seen or (to_x.stop > to_x.start and to_y.stop > to_y.start)
    if not seen:
        raise ValueError(
            f"got a path from {corners[0]} to {corners[-1]} on which frames of {width}x{height} are never inside the "
            f"frame of {wide}x{high}; move it, or set width and height to 0"
        )
    return moved, nothing


def _span(starts: list[int], length: int, size: int) -> tuple[int, int]:
    """Where the larger frame begins along one axis, and how long it is."""
    if size:
        return 0, size
    return min(starts), max(starts) - min(starts) + length


def _overlap(start: int, length: int, size: int) -> tuple[slice, slice]:
    """What of an axis of ``length`` lies inside one of ``size`` when it begins at ``start``: there, and in itself."""
    first, end = min(max(start, 0), size), min(max(start + length, 0), size)
    return slice(first, end), slice(first - start, end - start) if end > first else slice(0, 0)


def _mask_of(mask: Tensor, frames: int, size: tuple[int, int]) -> Tensor:
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or len(mask) not in (1, frames) or (mask.shape[2], mask.shape[1]) != size:
        raise ValueError(
            f"got a mask of shape {tuple(mask.shape)} for {frames} frames of {size[0]}x{size[1]}, expected one mask of "
            "that size for all frames, or one for each"
        )
    return mask
