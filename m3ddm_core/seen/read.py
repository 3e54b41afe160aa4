"""Pixels read between pixels, each from a frame of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

LOBES = 3


def read_linear(frames: Tensor, numbers: Tensor, pixels: Tensor) -> Tensor:
    """Frames (n, h, w, c) read at pixels (..., 2), (column, row), of the frames ``numbers`` (...): (..., c), bilinear.

    What lies outside reads the nearest pixel at the edge.
    """
    return _read(frames, numbers, pixels, lambda part: [1 - part, part], first=0)


def read_sharp(frames: Tensor, numbers: Tensor, pixels: Tensor) -> Tensor:
    """The same with Lanczos's window of three pixels, which keeps all but a hundredth of what is sharp."""
    return _read(frames, numbers, pixels, _lanczos, first=1 - LOBES)


def read_nearest(maps: Tensor, numbers: Tensor, pixels: Tensor) -> Tensor:
    """Maps (n, h, w) at the pixels (..., 2) nearest: (...)."""
    height, width = maps.shape[1:]
    column, row = (pixels + 0.5).floor().long().unbind(-1)
    return maps.flatten()[(numbers * height + row.clamp(0, height - 1)) * width + column.clamp(0, width - 1)]


def _lanczos(part: Tensor) -> list[Tensor]:
    away = torch.stack([part - place for place in range(1 - LOBES, LOBES + 1)])
    weights = torch.sinc(away) * torch.sinc(away / LOBES)
    return list(weights / weights.sum(0))


def _read(
    frames: Tensor, numbers: Tensor, pixels: Tensor, weights: Callable[[Tensor], list[Tensor]], first: int
) -> Tensor:
    height, width, channels = frames.shape[1:]
    whole = pixels.floor()
    (left, top), (across, along) = whole.long().unbind(-1), (pixels - whole).unbind(-1)
    flat, start = frames.reshape(-1, channels).float(), numbers * (height * width)
    shares = torch.stack(weights(across), dim=-1).view(-1, -2 * first + 2)
    columns = torch.stack([(left + first + k).clamp(0, width - 1) for k in range(shares.shape[1])], dim=-1)
    total = None
    for k, weight in enumerate(weights(along)):
        row = start + (top + first + k).clamp(0, height - 1) * width
        places = (row[..., None] + columns).view(shares.shape)
        part = F.embedding_bag(places, flat, mode="sum", per_sample_weights=shares * weight.reshape(-1, 1))
        total = part if total is None else total.add_(part)
    return total.view(*numbers.shape, channels)
