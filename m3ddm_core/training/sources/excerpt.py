"""Frames that are still on disk: what a view is drawn from travels between processes as a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...material.store import Piece, Store


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Frames of a ``piece`` of a ``store``: those of the numbers ``times`` (n,), or the one of a single number."""

    store: Store
    piece: Piece
    times: np.ndarray | int
    mirrored: bool

    def to(self, device: torch.device | str) -> Tensor:
        """Read them: (n, h, w, c) or (h, w, c), uint8, on the device."""
        frames = torch.from_numpy(np.array(self.store.pixels(self.piece)[self.times])).to(device)
        return frames.flip(-2) if self.mirrored else frames
