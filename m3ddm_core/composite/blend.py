"""How the generated picture meets the source: left to the soft edge, or corrected so that no line shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ..canvas.fill import fill_border
from .fringe import fringe, sides
from .membrane import REACH, Membrane, cell_size
from .seam import Seam
from .view import View

Fringe = tuple[tuple[slice, slice], Tensor]
"""A rectangle (rows, columns) of the target, and what is added there: (n, rows, columns, 3)."""


class Blend(Protocol):
    """Corrects generated frames of one size. What it knows of frames before is carried from call to call."""

    def corrected(self, seam: Seam) -> Tensor:
        """The generated frames (n, gh, gw, 3), corrected as a whole by what the seam shows."""

    def fringes(self, frames: Tensor, source: Tensor, share: Tensor) -> list[Fringe]:
        """What is to be added near the border to corrected frames (n, gh, gw, 3) at the target's size.

        source: (n, h, w, 3), float. share: (h, w), how much of each source pixel will be kept.
        """

    def patch(self, made: Tensor, source: Tensor, kept: Tensor) -> Tensor:
        """Generated pictures (n, h, w, 3) that are to stand in source frames of that size, corrected.

        kept: (1 or n, h, w), the share of each source pixel that is kept around them, 0 where they stand.
        """


class Feather:
    """Nothing is corrected: the soft edge inside the source is all there is."""

    def __init__(self, view: View):
        pass

    def corrected(self, seam: Seam) -> Tensor:
        return seam.frames

    def fringes(self, frames: Tensor, source: Tensor, share: Tensor) -> list[Fringe]:
        return []

    def patch(self, made: Tensor, source: Tensor, kept: Tensor) -> Tensor:
        return made


class Gradient:
    """Smooth corrections that take the generated picture to the source's colours where they meet (see `membrane`)."""

    def __init__(self, view: View):
        self.view = view
        scale = max(view.placement.target) / max(view.placement.canvas_target[2:])
        self.reach = round(REACH * cell_size(view.placement) * scale)
        """In target pixels."""

    @cached_property
    def membrane(self) -> Membrane:
        """Made when it is asked for: a masked source without a border has no seam to hang it on."""
        return Membrane(self.view.placement, self.view.band, self.view.size)

    def corrected(self, seam: Seam) -> Tensor:
        """Add the broad part: a membrane that hangs on what source and generated picture differ by along the seam."""
        return seam.frames + self.membrane(seam.true - seam.made)

    def fringes(self, frames: Tensor, source: Tensor, share: Tensor) -> list[Fringe]:
        """The fine part, side by side: what is left at the seam itself, pixel by pixel."""
        found = []
        height, width = source.shape[1:3]
        for side in sides(self.view.placement, self.reach):
            near = slice(side.edge, side.edge + 1)
            edge = (slice(0, height), near) if side.axis == 0 else (near, slice(0, width))
            made = self.view.of_source(frames, edge)
            # With a feather the finished picture at the edge is only in part the source's.
            difference = (source[(slice(None), *edge)].float() - made) * share[edge][..., None].to(made)
            line = torch.where(torch.isfinite(difference), difference, 0).flatten(1, 2)
            found.append((side.rectangle(self.view.placement), fringe(side, line, self.reach)))
        return found

    def patch(self, made: Tensor, source: Tensor, kept: Tensor) -> Tensor:
        """Add what the picture misses the source by around it, spread over it so that it changes as evenly as possible
        (see `fill`)."""
        difference = (source - made).float()
        difference = torch.where(torch.isfinite(difference), difference, 0)
        # A fill gives mid grey where nothing is known. Here that is to mean: no correction.
        filled = fill_border(difference / 2 + 0.5, (kept < 1).to(difference))
        return made + (2 * filled - 1)


BLENDS: dict[str, Callable[[View], Blend]] = {"feather": Feather, "gradient": Gradient}
