"""The user's own mask over the source, the matte: what else is to be generated beside the border."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from ..frames import RATIO_TOLERANCE, chunks
from .placement import LATENT_SCALE, Placement

MASK_THRESHOLD = 0.5


def check_mask(mask: Tensor | None, size: tuple[int, int], frames: int, source_frames: int | None) -> Tensor | None:
    """Return a mask of the source, (h, w) or (m, h, w), float, as (1 or ``frames``, h, w). Nothing is copied.

    size: (width, height) of the source. m is 1 for all frames, ``frames``, or ``source_frames``, of which the first
        are taken; where those are not known (None) any number above ``frames`` will do.

    Raises ValueError for another size or number.
    """
    if mask is None:
        return None
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or (mask.shape[2], mask.shape[1]) != size:
        got = f"{mask.shape[2]}x{mask.shape[1]}" if mask.ndim == 3 else f"shape {tuple(mask.shape)}"
        raise ValueError(
            f"got a source mask of {got}, expected {size[0]}x{size[1]}, the size of the source frames; scale the mask "
            "to it (an empty mask of 64x64 stands for a picture without transparency)"
        )
    long_enough = len(mask) >= frames if source_frames is None else len(mask) in (frames, source_frames)
    if len(mask) != 1 and not long_enough:
        raise ValueError(
            f"got a source mask of {len(mask)} frames for {frames} source frames, expected one mask for all, or one "
            "for each frame"
        )
    return mask[:frames]


def read_matte(mask: Tensor | None, size: tuple[int, int], frames: int) -> Tensor | None:
    """Return a mask of the source as a matte: (1 or ``frames``, h, w), bool, True from 0.5 upwards.

    mask: (h, w), (1, h, w) or (frames, h, w), float, of the source's size (width, height).

    Returns None where there is no mask, or nothing under it. Raises ValueError for another size or number.
    """
    mask = check_mask(mask, size, frames, frames)
    if mask is None:
        return None
    matte = mask >= MASK_THRESHOLD
    return matte if matte.any() else None


def masks_of(mask: Tensor | None, first: int, last: int) -> Tensor | None:
    """What a checked mask has for the frames from ``first`` to before ``last``: (1 or as many, h, w), not copied."""
    return mask if mask is None or len(mask) == 1 else mask[first:last]


def covers(mask: Tensor) -> bool:
    """Whether there is anything under a mask (m, h, w), looked at some frames at a time."""
    return any(bool((mask[some] >= MASK_THRESHOLD).any()) for some in chunks(len(mask), mask.shape[2], mask.shape[1]))


def matte_at(matte: Tensor, size: tuple[int, int]) -> Tensor:
    """A matte (m, h, w), bool, for frames that are resized to (width, height).

    True for every pixel that something under the matte had a part in: nothing is too small to count, and nothing of it
    is left beside it.
    """
    width, height = size
    if matte.shape[1:] == (height, width):
        return matte
    found = torch.zeros(len(matte), height, width, dtype=torch.bool)
    for some in chunks(len(matte), matte.shape[2], matte.shape[1]):
        # As the frames are resized, with weights of which none is negative.
        part = F.interpolate(matte[some].float().cpu()[:, None], (height, width), mode="bilinear", antialias=True)
        found[some] = part[:, 0] > 0
    return found


def scale_mask(mask: Tensor | None, size: tuple[int, int]) -> Tensor | None:
    """A checked mask (m, h, w), float, of a source that was scaled to (width, height): (m, height, width), float.

    It covers what `matte_at` says. A mask that has the size is given back as it is.
    """
    if mask is None or (mask.shape[2], mask.shape[1]) == size:
        return mask
    return matte_at(mask >= MASK_THRESHOLD, size).float()


def mask_for_frames(mask: Tensor | None, frames: Tensor) -> Tensor | None:
    """A source's mask (h, w) or (m, h, w), float, for frames (n, h, w, c) that may have been scaled from that source.

    A mask of another shape than theirs is given back as it is, for whoever checks it.
    """
    height, width = frames.shape[1:3]
    if mask is None or mask.ndim not in (2, 3):
        return mask
    if abs(mask.shape[-1] / mask.shape[-2] / (width / height) - 1) > RATIO_TOLERANCE:
        return mask
    return scale_mask(mask[None] if mask.ndim == 2 else mask, (width, height))


def matte_on_canvas(matte: Tensor, placement: Placement) -> Tensor:
    """A matte (m, h, w), bool, on the canvas: (m, ch, cw), bool, in whole latents.

    A mask reaches the network as one pixel of each latent's block. A block that the matte has only touched must count
    as unknown, and nothing of it may be shown: so the whole block goes under the matte.
    """
    x, y, width, height = placement.canvas_source
    canvas = torch.zeros(len(matte), placement.canvas[1], placement.canvas[0], dtype=torch.bool)
    canvas[:, y : y + height, x : x + width] = matte_at(matte, (width, height))
    blocks = rearrange(
        canvas, "m (h below) (w across) -> m h w (below across)", below=LATENT_SCALE, across=LATENT_SCALE
    )
    return repeat(
        blocks.any(-1), "m h w -> m (h below) (w across)", below=LATENT_SCALE, across=LATENT_SCALE
    ).contiguous()
