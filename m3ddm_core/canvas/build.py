"""Frames on the canvas that the network works on: resized, put in their rectangle, the rest filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange, repeat

from ..frames import chunks, drop_alpha, require_frames, require_shape, resize
from .fill import fill_border
from .placement import LATENT_SCALE, Placement
from .source_mask import matte_on_canvas, read_matte

NEARLY_ALL = 0.99
"""A frame of whose border so much counts as known counts as known altogether."""


class Shown(NamedTuple):
    """What is shown of the border elsewhere: pictures (n, ch, cw, 3), float32, and where, (n, ch, cw), bool.

    ``is_known``: whether it is no more generated where it covers whole latents. The published network was trained on
    rectangular borders alone.
    """

    pictures: torch.Tensor
    where: torch.Tensor
    is_known: bool = False


OnFrames = Callable[[int], None]
"""``on_frames(done)`` is told now and then how many of the frames are done; it may raise, to stop."""


def make_canvas(
    frames: torch.Tensor,
    placement: Placement,
    source_mask: torch.Tensor | None = None,
    *,
    fill: str = "smooth",
    shown: Shown | None = None,
    on_frames: OnFrames | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The source on the canvas, the rest filled.

    frames: (n, h, w, c), float, 0..1, of the placement's source size. A fourth channel (alpha) is dropped.
    source_mask: (1, h, w) for all frames, or one for each, float: 1 where the source's own pixels are to be replaced
        too. On the canvas it covers whole latents.
    fill: a key of `FILL_METHODS`.
    shown: what of the border is to start from other pixels than a fill's. It is generated all the same, unless it
        counts as known.

    Returns the canvas (n, ch, cw, 3), float32, 0..1, and the mask, float32, 1 where it was filled: (1, ch, cw), or
    (n, ch, cw) where the source mask, or what is known, changes. It is 0 all over frames in which there is nothing to
    generate.
    Raises ValueError for no frames, and for frames or a mask of another size than the placement's source.
    """
    require_source(frames, placement)
    hole = _hole(source_mask, len(frames), placement)
    canvas = put_on_canvas(frames, placement, placement.canvas_source, fill, hole, shown, on_frames)
    mask = _mask(placement, hole)
    return canvas, _without_known(mask, shown.where) if shown is not None and shown.is_known else mask


def make_start_canvas(
    frames: torch.Tensor,
    pictures: torch.Tensor,
    placement: Placement,
    source_mask: torch.Tensor | None = None,
    *,
    fill: str = "smooth",
    on_frames: OnFrames | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The source on the canvas, and around it whole frames that sampling is to start from; beyond the target a fill.

    frames, source_mask, fill, on_frames: as in `make_canvas`.
    pictures: (n, h, w, c), float, 0..1, in the target's shape, of any size: a first, coarser result.

    Returns canvas and mask as `make_canvas` does; where the mask is 0 they are the same. Raises ValueError for what
    `make_canvas` refuses, and for another number or shape of pictures.
    """
    require_source(frames, placement)
    if len(pictures) != len(frames):
        raise ValueError(
            f"got {len(pictures)} pictures to start from, expected {len(frames)}: one for each frame of the source"
        )
    require_shape(pictures, placement.target, "pictures to start from")
    canvas = put_on_canvas(pictures, placement, placement.canvas_target, fill, on_frames=on_frames)
    hole = _hole(source_mask, len(frames), placement)
    _paste(canvas, frames, placement.canvas_source, hole)
    return canvas, _mask(placement, hole)


def make_guide_canvas(frames: torch.Tensor, placement: Placement, fill: str = "smooth") -> torch.Tensor:
    """Whole frames of the target's shape, (n, h, w, c), float, 0..1, on the canvas; what lies beyond is filled.

    Returns (n, ch, cw, 3), float32, 0..1. Any size is stretched to the target's rectangle.
    """
    return put_on_canvas(frames, placement, placement.canvas_target, fill)


def placement_mask(placement: Placement) -> torch.Tensor:
    """(1, ch, cw), float32: 0 where the source lies on the canvas, 1 where it is to be generated.

    With nothing to outpaint it is 0 everywhere: what lies beyond the target is cropped, and not worth sampling.
    """
    mask = _outside(placement, placement.canvas_source)
    return torch.zeros_like(mask) if placement.is_full else mask


def put_on_canvas(
    frames: torch.Tensor,
    placement: Placement,
    rectangle: tuple[int, int, int, int],
    fill: str,
    hole: torch.Tensor | None = None,
    shown: Shown | None = None,
    on_frames: OnFrames | None = None,
) -> torch.Tensor:
    """Frames (n, h, w, c) resized to a rectangle (x, y, width, height) of the canvas, the rest filled.

    What lies under ``hole``, (1 or n, ch, cw), bool, is filled too. Around the rectangle what is ``shown`` stays as it
    is, and the fill goes on from it.
    """
    canvas_width, canvas_height = placement.canvas
    mask = _outside(placement, rectangle)
    canvas = torch.zeros(len(frames), canvas_height, canvas_width, 3)
    if shown is not None:
        canvas.copy_(torch.where(shown.where[..., None], shown.pictures, 0.0))
        mask = mask * ~shown.where
    mask = mask if hole is None else torch.maximum(mask, hole.to(mask))
    _paste(canvas, frames, rectangle)
    for some in chunks(len(canvas), canvas_width, canvas_height):
        canvas[some] = fill_border(canvas[some], mask if len(mask) == 1 else mask[some], fill)
        if on_frames:
            on_frames(some.stop)
    return canvas


def require_source(frames: torch.Tensor, placement: Placement) -> None:
    """Raise ValueError unless there is at least one frame (n, h, w, c), of the placement's source size."""
    require_frames(frames, "source frames")
    height, width = frames.shape[1:3]
    if (width, height) != placement.source:
        raise ValueError(
            f"got source frames of {width}x{height}, expected {placement.source[0]}x{placement.source[1]}: give the "
            "frames that the placement was made for"
        )


def _hole(source_mask: torch.Tensor | None, frames: int, placement: Placement) -> torch.Tensor | None:
    """The source mask on the canvas (1 or frames, ch, cw), bool, if there is anything under it."""
    matte = read_matte(source_mask, placement.source, frames)
    return None if matte is None else matte_on_canvas(matte, placement)


def _mask(placement: Placement, hole: torch.Tensor | None) -> torch.Tensor:
    """Where the canvas is to be generated: outside the source and under ``hole``, in frames where there is either."""
    if hole is None:
        return placement_mask(placement)
    # Where the source covers the target and a frame has something under its mask, what lies beyond the target is as
    # unknown as in training: a fill that passes for known is what the network would go on from.
    busy = hole.flatten(1).any(1)[:, None, None] if placement.is_full else torch.ones_like(hole)
    return torch.maximum(hole.float(), busy * _outside(placement, placement.canvas_source))


def _without_known(mask: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """A mask (1 or n, ch, cw) with 0 over each latent that is shown whole, ``where`` (n, ch, cw), bool; and over a
    whole frame where that is `NEARLY_ALL` of its border."""
    asked, left = (_in_latents(pixels) for pixels in (mask > 0, (mask > 0) & ~where))
    few = left.sum((1, 2), keepdim=True) <= (1 - NEARLY_ALL) * asked.sum((1, 2), keepdim=True)
    return mask * repeat(left & ~few, "n h w -> n (h p) (w q)", p=LATENT_SCALE, q=LATENT_SCALE)


def _in_latents(pixels: torch.Tensor) -> torch.Tensor:
    """The latents (n, ch / 8, cw / 8), bool, in which there is any of the pixels (n, ch, cw), bool."""
    return rearrange(pixels, "n (h p) (w q) -> n h w (p q)", p=LATENT_SCALE, q=LATENT_SCALE).any(-1)


def _paste(
    canvas: torch.Tensor,
    frames: torch.Tensor,
    rectangle: tuple[int, int, int, int],
    hole: torch.Tensor | None = None,
) -> None:
    """Write frames (n, h, w, c), resized, into a rectangle (x, y, width, height) of the canvas, but not over a hole."""
    x, y, width, height = rectangle
    rows, columns = slice(y, y + height), slice(x, x + width)
    for some in chunks(len(frames), frames.shape[2], frames.shape[1]):
        part = resize(drop_alpha(frames[some]).float().cpu(), (width, height))
        if hole is not None:
            covered = (hole if len(hole) == 1 else hole[some])[:, rows, columns, None]
            part = torch.where(covered, canvas[some, rows, columns], part)
        canvas[some, rows, columns] = part


def _outside(placement: Placement, rectangle: tuple[int, int, int, int]) -> torch.Tensor:
    x, y, width, height = rectangle
    mask = torch.ones(1, placement.canvas[1], placement.canvas[0])
    mask[:, y : y + height, x : x + width] = 0
    return mask
