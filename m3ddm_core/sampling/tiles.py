"""A picture evaluated in overlapping tiles and put together again, for canvases larger than a network likes.

Done at every denoising step, so that tiles agree where they overlap (MultiDiffusion, arXiv 2302.08113).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Place = tuple[slice, slice]
"""Rows and columns of a tile."""


def plan_tiles(size: int, tile: int, overlap: int) -> tuple[slice, ...]:
    """Cover ``size`` positions with as few tiles of ``tile`` as overlap by ``overlap`` or more, evenly spread.

    One tile, of the whole size, where that is not larger than a tile. Raises ``ValueError`` for an overlap that leaves
    a tile nothing of its own.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"got an overlap of {overlap} for tiles of {tile}, expected 0 to {tile - 1}")
    if size <= tile:
        return (slice(0, size),)
    count = -(-(size - overlap) // (tile - overlap))
    starts = ((size - tile) * number // (count - 1) for number in range(count))
    return tuple(slice(start, start + tile) for start in starts)


def in_tiles(evaluate: Callable[[Place], Tensor], size: tuple[int, int], tile: int, overlap: int) -> Tensor:
    """Put together what ``evaluate`` gives for each tile of (height, width) positions: (..., rows, columns) of its own.

    Where tiles overlap, each counts the more, the farther it is from its edge. Returns (..., height, width).
    """
    rows, columns = (plan_tiles(side, tile, overlap) for side in size)
    if len(rows) == len(columns) == 1:
        return evaluate((rows[0], columns[0]))
    down, across = (_shares(tiles, side, overlap) for tiles, side in zip((rows, columns), size, strict=True))
    whole = None
    for row, high in zip(rows, down, strict=True):
        for column, wide in zip(columns, across, strict=True):
            part = evaluate((row, column))
            if whole is None:
                whole = part.new_zeros(*part.shape[:-2], *size)
            whole[..., row, column] += part * high.to(part)[:, None] * wide.to(part)
    return whole


def _shares(tiles: tuple[slice, ...], size: int, overlap: int) -> list[Tensor]:
    """What each tile counts for along an axis, position by position; together they count for one everywhere."""
    length = tiles[0].stop - tiles[0].start
    ramp = ((torch.arange(length, dtype=torch.float64) + 1) / (overlap + 1)).clamp(max=1)
    weight = torch.minimum(ramp, ramp.flip(0))
    total = torch.zeros(size, dtype=torch.float64)
    for tile in tiles:
        total[tile] += weight
    return [weight / total[tile] for tile in tiles]
