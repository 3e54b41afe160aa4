"""The latents of whole scenes in a journal, so that one of which nothing has changed is not even encoded again."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from .digest import digest
from .store import Journal

PART_BYTES = 1 << 26
"""Of an entry at most: a scene's latents lie in as many as they need."""


class SceneJournal:
    """A journal, for the latents (n, 4, h, w), float32, of whole scenes, each under a key of all that decides them."""

    def __init__(self, journal: Journal):
        self._journal = journal

    def take(self, key: str, shape: tuple[int, ...], clips: int) -> Tensor | None:
        """Return the latents of a scene, on the CPU, or None unless all of them are there. ``clips``: how many clips
        need not be sampled then."""
        parts = []
        for number, length in enumerate(_lengths(shape)):
            part = self._journal.take(_part_key(key, number))
            if part is None:
                return None
            # Its checksum was right: who wrote it counted otherwise.
            if part.shape != (length, *shape[1:]) or part.dtype is not torch.float32:
                logging.warning("M3DDM: a scene in the journal has another shape; it is made again.")
                return None
            parts.append(part)
        self._journal.taken += clips
        return torch.cat(parts)

    def put(self, key: str, latents: Tensor) -> None:
        """Keep the latents of a scene that is finished."""
        for number, part in enumerate(latents.float().split(_lengths(tuple(latents.shape)))):
            self._journal.put(_part_key(key, number), part)


def _lengths(shape: tuple[int, ...]) -> list[int]:
    """The frames of each part."""
    length, *each = shape
    most = max(PART_BYTES // (4 * torch.Size(each).numel()), 1)
    return [min(most, length - first) for first in range(0, length, most)]


def _part_key(key: str, number: int) -> str:
    return digest((key, number))
