"""Clips as a model might give them back, without a model: blurred, tinted, flickering, deaf to the source's light."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from m3ddm_core.canvas.placement import Placement
from m3ddm_core.evaluation.protocol import Case
from m3ddm_core.synthetic.held_out import HELD_OUT

EVENTS = ("none", "noise", "flicker", "fade", "flash")
BLOCK = 16
GRID = 8


def spoiled(truth: Tensor, event: str, seed: int) -> tuple[Tensor, Tensor]:
    """What really happened and what a model made of it, both (n, h, w, 3), from a clip of steady light."""
    draw = torch.Generator().manual_seed(seed)
    n, h, w, _ = truth.shape
    light = torch.ones(n, 1, 1, 1)
    if event == "fade":
        light = torch.linspace(1, 0.3, n).view(-1, 1, 1, 1)
    elif event == "flash":
        light[n // 2 : n // 2 + 2] = 1.6
    planes = truth.movedim(-1, 1)
    blurred = F.interpolate(
        F.interpolate(planes, scale_factor=0.5, mode="bilinear", antialias=True), (h, w), mode="bilinear"
    ).movedim(1, -1)
    tints = (torch.rand(2, 3, generator=draw) - 0.5) * 0.1
    across = torch.linspace(0, 1, w)[:, None]
    tint = tints[0] * (1 - across) + tints[1] * across
    amount = 0.04 if event == "flicker" else 0.005
    gain = 0.92 + amount * torch.randn(n, 1, 1, 3, generator=draw)
    offset = 0.03 + amount * torch.randn(n, 1, 1, 3, generator=draw)
    made = blurred * gain + offset + tint
    if event == "noise":
        made = made + blobs(n, h, w, draw)
    return (truth * light).clamp(0, 1), made.clamp(0, 1)


def blobs(n: int, h: int, w: int, draw: torch.Generator) -> Tensor:
    """Smooth noise (n, h, w, 3) of eight pixels a wave's half, new in every frame.

    Its grid lies differently in every frame: it is steepest half-way between its points, and were that always where
    the border is, a picture without a seam would seem to have one.
    """
    coarse = 0.05 * torch.randn(n, 3, h // GRID + 1, w // GRID + 1, generator=draw)
    planes = F.interpolate(coarse, (h + GRID, w + GRID), mode="bicubic")
    shifts = torch.randint(0, GRID, (n, 2), generator=draw).tolist()
    shifted = [plane[:, y : y + h, x : x + w] for plane, (y, x) in zip(planes, shifts, strict=True)]
    return torch.stack(shifted).movedim(1, -1)


def spoiled_clips(
    clips: int, frames: int, size: int, events: tuple[str, ...] = EVENTS
) -> Iterator[tuple[str, Placement, Tensor, Tensor]]:
    """Event, placement, truth and generated of so many held-out clips, spread over the list."""
    for clip in HELD_OUT[:: len(HELD_OUT) // clips][:clips]:
        pictures = clip.scene((size, size)).render(np.arange(frames))
        placement = Case("vertical" if clip.vertical else "horizontal", 0.5).place(size)
        for event in events:
            yield event, placement, *spoiled(pictures, event, clip.seed)


def known(placement: Placement, truth: Tensor) -> tuple[Tensor, Tensor]:
    """The source's frames, cut from the truth, and where the border is, (h, w), bool."""
    x, y, width, height = placement.canvas_source
    filled = torch.ones(truth.shape[1:3], dtype=torch.bool)
    filled[y : y + height, x : x + width] = False
    return truth[:, y : y + height, x : x + width], filled


def colour_error(truth: Tensor, result: Tensor, filled: Tensor) -> Tensor:
    """How far the border's colours are off, frame by frame, (n,), in levels of 255.

    The mean absolute difference of the mean colours of 16x16 blocks, over the filled pixels of each.
    """
    pixels = filled.float()[None, None]
    share = F.avg_pool2d(pixels, BLOCK)
    error = (F.avg_pool2d((result - truth).movedim(-1, 1) * pixels, BLOCK) / share.clamp(min=1e-6)).abs()
    return error[:, :, share[0, 0] > 0].mean((1, 2)) * 255
