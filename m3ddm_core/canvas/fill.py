"""Fill what is unknown in a frame with something smooth: where the sampler starts from in the border.

Pure noise there is worse, as the authors report; the published code starts from OpenCV's TELEA inpainting.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange

from ..frames import chunks

TELEA_RADIUS = 5

RIM = 4
"""How many known pixels next to the hole decide its colour."""

INTERIOR = 1e-3
"""What a known pixel farther in counts for, beside one of the rim."""

FINE_ROUNDS, COARSE_ROUNDS, COARSE_SIDE = 4, 64, 256
"""Rounds of averaging on large levels and on small ones; below `COARSE_SIDE` pixels they grow as the level shrinks."""


CACHED_PIXELS = 2**18
"""Pixels filled at a time: the rounds go over them again and again, and are several times faster where they stay in a
processor's cache."""


def fill_border(frames: torch.Tensor, mask: torch.Tensor, method: str = "smooth") -> torch.Tensor:
    """Fill the masked pixels of each frame from its known ones.

    frames: (n, h, w, 3), float, 0..1. What lies under the mask does not matter.
    mask: (n, h, w), or (1, h, w) for all frames, float; 0.5 and above is filled.
    method: a key of `FILL_METHODS`.

    Returns (n, h, w, 3) of the same dtype; known pixels are bit-equal. A frame with no known pixel becomes mid grey
    ("smooth") or black ("telea", as OpenCV leaves it).

    Raises ValueError for shapes that do not belong together or an unknown method, ImportError for "telea" without
    OpenCV.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"got frames of shape {tuple(frames.shape)}, expected (frames, height, width, 3)")
    if mask.shape not in ((1, *frames.shape[1:3]), tuple(frames.shape[:3])):
        raise ValueError(
            f"got a mask of shape {tuple(mask.shape)} for frames of shape {tuple(frames.shape)}, "
            f"expected one mask of {frames.shape[2]}x{frames.shape[1]} pixels for all frames, or one for each"
        )
    if method not in FILL_METHODS:
        raise ValueError(f"got the fill {method!r}, expected one of {', '.join(FILL_METHODS)}")
    unknown = mask >= 0.5
    filled = torch.empty_like(frames)
    for some in chunks(len(frames), frames.shape[2], frames.shape[1], CACHED_PIXELS):
        part = frames[some]
        hole = unknown if len(unknown) == 1 else unknown[some]
        guess = FILL_METHODS[method](part, hole)
        filled[some] = torch.where(hole.unsqueeze(-1), guess, part)
    return filled


def _smooth(frames: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
    """Continue the known pixels into the hole so that the colour changes as evenly as possible.

    The answer sought is the membrane: each unknown pixel the mean of its neighbours. It is solved from coarse to fine:
    frames halved in size until one pixel is left, then back up, each level relaxed from the answer of the one below.
    """
    if not hole.any():
        return frames
    unknown = rearrange(hole.float(), "n h w -> n 1 h w")
    # A membrane hangs on its rim. The interior must not tint the averages that the far border is made of, so it counts
    # for almost nothing beside the pixels next to the hole.
    near = F.max_pool2d(unknown, 2 * RIM + 1, stride=1, padding=RIM)
    weight = (1 - unknown) * near.clamp(min=INTERIOR)
    colour = rearrange(frames.float(), "n h w c -> n c h w")
    colour = torch.where(unknown > 0, 0.0, colour)
    return rearrange(_membrane(colour * weight, weight, 1 - unknown), "n c h w -> n h w c").to(frames.dtype)


def _membrane(colour: torch.Tensor, weight: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """One level and all below it.

    `colour` (n, c, h, w) is multiplied by `weight` (n or 1, 1, h, w); `known`, of the same shape, is the share of each
    pixel that is held fast.
    """
    height, width = colour.shape[-2:]
    mean = colour / weight.clamp(min=1e-12)
    if height == width == 1:
        return torch.where(known > 0, mean, 0.5)
    # An odd side gets one more, unknown pixel, so that every level lies exactly on the next.
    even = (0, width % 2, 0, height % 2)
    coarse = _membrane(*(F.avg_pool2d(F.pad(part, even), 2) for part in (colour, weight, known)))
    guess = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    guess = torch.lerp(guess, mean, known)
    # Small levels cost nothing and carry the large shapes: there the membrane comes to rest.
    for _ in range(max(FINE_ROUNDS, min(COARSE_ROUNDS, COARSE_SIDE * FINE_ROUNDS // max(height, width)))):
        guess = torch.lerp(_spread(guess), mean, known)
    return guess


def _spread(picture: torch.Tensor) -> torch.Tensor:
    """Each pixel's mean with its eight neighbours, (n, c, h, w).

    By sums of rows and columns: a pooling layer's loop over each window is five times slower on a CPU.
    """
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    rows = (padded[..., :-2, :] + padded[..., 1:-1, :]).add_(padded[..., 2:, :])
    return (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:]).mul_(1 / 9)


def _telea(frames: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
    """OpenCV's inpainting after Telea, on 8-bit frames, channels as they come: what the published code computes."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "the fill 'telea' needs OpenCV, which is not installed: run `pip install opencv-python-headless`, or take "
            "the fill 'smooth'"
        ) from error
    pixels = (frames.float() * 255).round().clamp(0, 255).to(torch.uint8)
    pixels = pixels.masked_fill(hole.unsqueeze(-1), 0).cpu().numpy()
    holes = hole.to(torch.uint8).cpu().numpy()
    filled = [
        torch.from_numpy(cv2.inpaint(picture, holes[i % len(holes)], TELEA_RADIUS, cv2.INPAINT_TELEA))
        for i, picture in enumerate(pixels)
    ]
    return (torch.stack(filled).float() / 255).to(frames)


FILL_METHODS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {"smooth": _smooth, "telea": _telea}
