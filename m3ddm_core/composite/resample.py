"""Resampling along an axis as a matrix, out = matrix @ in. Two of them map a frame onto any rectangle."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

BLOCK = 128
"""Positions read at a time."""


def resampling_matrix(start: float, step: float, count: int, size: int, kernel: str) -> Tensor:
    """The weights that read `size` samples at `count` positions: start, start + step, ...

    Position 0 is the centre of the first sample; positions outside read the sample at the edge. Where `step` is above 1
    the kernel is stretched by it, so that nothing aliases. `kernel` is a key of `KERNELS`.

    Returns (count, size), float32; each row sums to 1. Raises ValueError for an unknown kernel.
    """
    if kernel not in KERNELS:
        raise ValueError(f"got the resampling {kernel!r}, expected one of {', '.join(KERNELS)}")
    weigh, radius = KERNELS[kernel]
    centres = start + step * torch.arange(count, dtype=torch.float64)
    stretch = max(step, 1.0)
    # Every tap that reaches beyond the edge falls on the edge sample: the picture goes on as it ends.
    reach = int(radius * stretch) + 1
    taps = centres.floor().long().unsqueeze(1) + torch.arange(-reach, reach + 2)
    weights = weigh((taps - centres.unsqueeze(1)) / stretch)
    weights = weights / weights.sum(1, keepdim=True)
    matrix = torch.zeros(count, size, dtype=torch.float64)
    return matrix.scatter_add_(1, taps.clamp(0, size - 1), weights).float()


def resample(frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Frames (n, h, w, c) read at `rows` (m, h) and `columns` (k, w), both from `resampling_matrix`: (n, m, k, c)."""
    (count, _, _, channels), top, bottom = frames.shape, *_used(rows)
    part = frames[:, top:bottom]
    wide = part.new_empty(count, bottom - top, len(columns), channels)
    for block, (first, last) in _blocks(columns):
        wide[:, :, block] = torch.einsum(
            "k w, n h w c -> n h k c", columns[block, first:last].to(part), part[:, :, first:last]
        )
    result = wide.new_empty(count, len(rows), len(columns), channels)
    for block, (first, last) in _blocks(rows):
        result[:, block] = torch.einsum(
            "m h, n h k c -> n m k c", rows[block, first:last].to(wide), wide[:, first - top : last - top]
        )
    return result


def _blocks(matrix: Tensor) -> Iterator[tuple[slice, tuple[int, int]]]:
    """Runs of positions with the span of samples that they read: the rest of a matrix is zeros."""
    for start in range(0, len(matrix), BLOCK):
        block = slice(start, min(start + BLOCK, len(matrix)))
        yield block, _used(matrix[block])


def _used(matrix: Tensor) -> tuple[int, int]:
    """The span of samples that any row reads: a narrow border needs only a narrow part of the picture."""
    used = matrix.ne(0).any(0).nonzero()
    return int(used[0]), int(used[-1]) + 1


def _bilinear(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _bicubic(x: Tensor) -> Tensor:
    """Keys's cubic convolution with a = -0.5, which reproduces parabolas."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: Tensor) -> Tensor:
    window = torch.sinc(x / 3)
    return torch.where(x.abs() < 3, torch.sinc(x) * window, torch.zeros_like(x))


KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "lanczos": (_lanczos, 3),
    "bicubic": (_bicubic, 2),
    "bilinear": (_bilinear, 1),
}
"""Each kernel with its radius in samples."""
