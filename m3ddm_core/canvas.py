"""Frames on the canvas that the network works on: resized, put in their rectangle, the rest filled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange

from .chunks import chunks
from .fill import fill_border
from .geometry import Placement

RATIO_TOLERANCE = 0.02
"""How far a picture's ratio may be from the target's, relative to it, before it counts as a mistake."""


def make_canvas(frames: torch.Tensor, placement: Placement) -> tuple[torch.Tensor, torch.Tensor]:
    """The source on the canvas, the rest filled.

    frames: (n, h, w, c), float, 0..1, of the placement's source size; the first `placement.frames` are used. A fourth
        channel (alpha) is dropped.

    Returns the canvas (frames, ch, cw, 3), float32, 0..1, and the mask (1, ch, cw), float32, 1 where it was filled.
    Raises ValueError when the frames are not the placement's.
    """
    frames = _source_frames(frames, placement)
    return put_on_canvas(frames, placement, placement.canvas_source), placement_mask(placement)


def make_start_canvas(
    frames: torch.Tensor, pictures: torch.Tensor, placement: Placement
) -> tuple[torch.Tensor, torch.Tensor]:
    """The source on the canvas, and around it whole frames that sampling is to start from, in place of a fill.

    frames: as in `make_canvas`.
    pictures: (frames, h, w, c), float, 0..1, in the target's shape, of any size: a first, coarser result.

    Returns canvas and mask as `make_canvas` does; on the source's rectangle they are the same. Raises ValueError where
    frames or pictures are not the placement's.
    """
    frames = _source_frames(frames, placement)
    if len(pictures) != placement.frames:
        raise ValueError(
            f"Got {len(pictures)} pictures to start from. Expected {placement.frames}, one for each frame of the video."
        )
    require_shape(pictures, placement.target, "pictures to start from")
    canvas = put_on_canvas(pictures, placement, placement.canvas_target)
    _paste(canvas, frames, placement.canvas_source)
    return canvas, placement_mask(placement)


def make_guide_canvas(frames: torch.Tensor, placement: Placement) -> torch.Tensor:
    """Whole frames of the target's shape, (n, h, w, c), float, 0..1, on the canvas; what lies beyond is filled alike.

    Returns (n, ch, cw, 3), float32, 0..1. Any size is stretched to the target's rectangle.
    """
    return put_on_canvas(frames, placement, placement.canvas_target)


def placement_mask(placement: Placement) -> torch.Tensor:
    """(1, ch, cw), float32: 0 where the source lies on the canvas, 1 where it is to be generated.

    With nothing to outpaint it is 0 everywhere: what lies beyond the target is cropped, and not worth sampling.
    """
    mask = _outside(placement, placement.canvas_source)
    return torch.zeros_like(mask) if placement.is_full else mask


def put_on_canvas(frames: torch.Tensor, placement: Placement, rectangle: tuple[int, int, int, int]) -> torch.Tensor:
    """Frames (n, h, w, c) resized to a rectangle (x, y, width, height) of the canvas, the rest filled."""
    canvas_width, canvas_height = placement.canvas
    mask = _outside(placement, rectangle)
    canvas = torch.zeros(len(frames), canvas_height, canvas_width, 3)
    _paste(canvas, frames, rectangle)
    for some in chunks(len(canvas), canvas_width, canvas_height):
        canvas[some] = fill_border(canvas[some], mask, placement.fill)
    return canvas


def require_shape(pictures: torch.Tensor, size: tuple[int, int], what: str) -> None:
    """Raise ``ValueError`` unless pictures (n, h, w, c) have the shape, if not the size, of (width, height)."""
    height, width = pictures.shape[1:3]
    if abs(width / height / (size[0] / size[1]) - 1) > RATIO_TOLERANCE:
        raise ValueError(
            f"got {what} of {width}x{height}, expected the shape of the finished frame, {size[0]}x{size[1]} or the "
            "same ratio; crop or outpaint them to that shape first"
        )


def resize(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Frames (n, h, w, c) resized to (width, height): bilinear, antialiased where they shrink."""
    width, height = size
    if frames.shape[1:3] == (height, width):
        return frames
    planes = rearrange(frames, "n h w c -> n c h w")
    planes = F.interpolate(planes, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return rearrange(planes, "n c h w -> n h w c")


def drop_alpha(frames: torch.Tensor) -> torch.Tensor:
    """The colours of frames (n, h, w, 3 or 4). Alpha is ignored, not blended: what is generated has none."""
    if frames.ndim != 4 or frames.shape[-1] not in (3, 4):
        raise ValueError(f"Got frames of shape {tuple(frames.shape)}. Expected (frames, height, width, 3 or 4).")
    return frames[..., :3]


def _source_frames(frames: torch.Tensor, placement: Placement) -> torch.Tensor:
    """The source frames that are used, if they are the placement's."""
    height, width = frames.shape[1:3]
    if (width, height) != placement.source or len(frames) not in (placement.frames, placement.source_frames):
        raise ValueError(
            f"Got {len(frames)} frames of {width}x{height}. Expected the source that the placement was made for: "
            f"{placement.source_frames} frames of {placement.source[0]}x{placement.source[1]}."
        )
    return frames[: placement.frames]


def _paste(canvas: torch.Tensor, frames: torch.Tensor, rectangle: tuple[int, int, int, int]) -> None:
    """Write frames (n, h, w, c), resized, into a rectangle (x, y, width, height) of the canvas."""
    x, y, width, height = rectangle
    for some in chunks(len(frames), frames.shape[2], frames.shape[1]):
        part = resize(drop_alpha(frames[some]).float().cpu(), (width, height))
        canvas[some, y : y + height, x : x + width] = part


def _outside(placement: Placement, rectangle: tuple[int, int, int, int]) -> torch.Tensor:
    x, y, width, height = rectangle
    mask = torch.ones(1, placement.canvas[1], placement.canvas[0])
    mask[:, y : y + height, x : x + width] = 0
    return mask
