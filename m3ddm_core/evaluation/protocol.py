"""What is measured: square frames, one direction and one ratio at a time, the known area put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..canvas.build import placement_mask
from ..canvas.placement import LATENT_SCALE, Placement, place
from ..frames import resize

DIRECTIONS = ("horizontal", "vertical")
FITS = ("crop", "stretch")
LEAST_FRAMES = 2
"""One frame cannot flicker."""


@dataclass(frozen=True)
class Case:
    """What is taken away from a clip: ``ratio`` of its width ("horizontal") or height, half of it on each side."""

    direction: str
    ratio: float

    @property
    def label(self) -> str:
        """Such as "horizontal 0.25"."""
        return f"{self.direction} {self.ratio:g}"

    def place(self, size: int) -> Placement:
        """Place what is left of a clip of ``size`` x ``size`` pixels on a canvas of that size, at its own scale."""
        border = round(size * self.ratio / 2)
        across, along = (border, 0) if self.direction == "horizontal" else (0, border)
        return place((size - 2 * across, size - 2 * along), pixels=(across, along, across, along), canvas_size=size)


@dataclass(frozen=True)
class Protocol:
    """The paper's sizes by default: 256x256, ratios 0.25 and 0.66, all frames; in both directions.

    ``fit`` makes frames square: "crop" scales the short side to ``size`` and keeps the middle, "stretch" scales both.
    ``frames`` is the most that is used of a clip, 0 for all. Raises ValueError for what cannot be measured.
    """

    size: int = 256
    directions: tuple[str, ...] = DIRECTIONS
    ratios: tuple[float, ...] = (0.25, 0.66)
    frames: int = 0
    fit: str = "crop"

    def __post_init__(self) -> None:
        if self.size < 4 * LATENT_SCALE or self.size % LATENT_SCALE:
            raise ValueError(
                f"got a size of {self.size}, expected a multiple of {LATENT_SCALE} from 32 up; 256 is usual"
            )
        for ratio in self.ratios:
            if not 2 / self.size <= ratio <= 1 - 2 / self.size:
                raise ValueError(
                    f"got a ratio of {ratio:g}, expected the share of the frame to take away, between 0 and 1"
                )
        if not self.ratios or not self.directions or set(self.directions) - set(DIRECTIONS) or self.fit not in FITS:
            raise ValueError(
                f"got directions {self.directions}, ratios {self.ratios} and the fit {self.fit!r}, expected directions "
                f"out of {DIRECTIONS}, at least one ratio, and a fit of {FITS}"
            )
        if self.frames < 0 or self.frames == 1:
            raise ValueError(f"got at most {self.frames} frames, expected {LEAST_FRAMES} or more, or 0 for all")

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Every direction with every ratio."""
        return tuple(Case(direction, ratio) for direction in self.directions for ratio in self.ratios)

    def fitted(self, frame: np.ndarray) -> np.ndarray:
        """One frame (h, w, 3), uint8, of any size as (size, size, 3)."""
        height, width = frame.shape[:2]
        if self.fit == "crop":
            side = min(width, height)
            x, y = (width - side) // 2, (height - side) // 2
            frame = frame[y : y + side, x : x + side]
        pixels = resize(torch.from_numpy(np.ascontiguousarray(frame))[None].float(), (self.size, self.size))
        return pixels[0].round().clamp(0, 255).to(torch.uint8).numpy()


PROTOCOLS = {"published": Protocol(directions=("horizontal",))}
"""Named ones. "published": what the tables of M3DDM and of those who compare with it state, as the mean of the two
ratios, the known area put back (MOTIA, arXiv 2403.13745, section 5)."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip as measured: ``frames`` (n, size, size, 3), uint8, the truth.

    ``seen_elsewhere``, where the world behind the pixels is known: from the known rectangle (x, y, width, height) to
    the pixels (n, size, size), bool, whose point of the world lies in the known rectangle of some frame of the clip.
    """

    frames: np.ndarray
    fps: float
    seen_elsewhere: Callable[[tuple[int, int, int, int]], np.ndarray] | None = None

    def known(self, placement: Placement) -> np.ndarray:
        """What a method is given: the frames of the placement's source, (n, h, w, 3), uint8."""
        x, y, width, height = placement.canvas_source
        return self.frames[:, y : y + height, x : x + width]

    def regions(self, placement: Placement) -> dict[str, np.ndarray | None]:
        """Where to measure: "frame" (None: everywhere), "filled", that in the "early" and the "late" quarter of the
        frames, and "seen" and "unseen" where that is known.

        A mask is (h, w) or (n, h, w), bool.
        """
        filled = placement_mask(placement)[0].numpy() > 0
        times = np.arange(len(self.frames))[:, None, None]
        quarter = -(-len(self.frames) // 4)
        regions: dict[str, np.ndarray | None] = {
            "frame": None,
            "filled": filled,
            "early": filled & (times < quarter),
            "late": filled & (times >= len(self.frames) - quarter),
        }
        if self.seen_elsewhere is not None:
            seen = self.seen_elsewhere(placement.canvas_source)
            regions |= {"seen": filled & seen, "unseen": filled & ~seen}
        return regions


@dataclass(frozen=True)
class Source:
    """A clip to be loaded when it is needed.

    ``identity`` says, as text, what would make it another clip (a file's name, size and date; a seed). ``load`` raises
    ``ValueError`` or ``OSError`` where the clip cannot be used. Clips of one ``group`` also have a table of their own.
    """

    name: str
    identity: str
    load: Callable[[Protocol], Clip]
    group: str = ""
