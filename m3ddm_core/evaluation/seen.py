"""What other frames have filmed of the border: a method that weights have no part in, and what is claimed by any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..canvas.build import put_on_canvas
from ..canvas.placement import Placement
from ..seen.look import REVISION, look_around
from ..seen.recipe import CONFIDENT, Seen
from ..video.cuts import CUT_THRESHOLD, find_cuts, thumbnails_of
from ..video.seen import show_frames

OFF = 25
"""Levels of 255, in the mean over channels: an error that is seen."""
CLAIMED = "claimed"
AGES = {"claimed near": (1, 8), "claimed farther": (9, 32), "claimed far": (33, 127)}
"""Regions of what is claimed, by how many frames away it was filmed."""


@dataclass(frozen=True)
class SeenOver:
    """Seen pixels over a ``fill``, "edge" or a key of `FILL_METHODS`, that goes on from them."""

    label: str
    fill: str
    slow = False
    looks_around = True

    @property
    def identity(self) -> str:
        """The fill, and the revision."""
        return f"seen {REVISION} over {self.fill}"

    @property
    def description(self) -> str:
        """What it does."""
        return f"what other frames show, and the fill {self.fill} elsewhere"

    def __call__(
        self,
        known: np.ndarray,
        placement: Placement,
        fps: float,
        report: Callable[[float], None],
        whole: Callable[[Sequence[int]], np.ndarray],
    ) -> np.ndarray:
        """As `Method` has it."""
        frames = _floats(known)
        shown = show_frames(looked_around(known, placement), frames)
        if self.fill == "edge":
            left, top, right, bottom = placement.border
            padded = np.pad(known, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="edge")
            filled = torch.where(shown.where[..., None], shown.pictures, _floats(padded))
        else:
            filled = put_on_canvas(frames, placement, placement.canvas_source, self.fill, shown=shown)
        return (filled * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def looked_around(known: np.ndarray, placement: Placement) -> Seen:
    """What the known frames (n, h, w, 3), uint8, of a clip show of each other's borders; remembered for one clip."""
    return _looked(_Frames(known), placement)


def claimed_regions(seen: Seen) -> dict[str, np.ndarray]:
    """The pixels (n, ch, cw), bool, that are said to be what the camera would have filmed: all of them, and by age."""
    claimed, ages = seen.confidence_on_canvas() >= CONFIDENT, seen.ages_on_canvas()
    by_age = {name: claimed & (ages >= first) & (ages <= last) for name, (first, last) in AGES.items()}
    return {name: region.numpy() for name, region in {CLAIMED: claimed, **by_age}.items()}


def claims(claimed: np.ndarray, filled: np.ndarray, truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """Of pixels ``claimed`` (n, h, w) among those ``filled`` (h, w), bool: their ``share``, and what is far ``off``."""
    error = np.abs(truth.astype(np.float32) - result).mean(axis=-1)[claimed]
    found = {"share": float(claimed.sum() / (filled.sum() * len(claimed)))}
    return found | ({"off": float((error > OFF).mean())} if error.size else {})


class _Frames:
    """Frames that can be told apart by what they hold: looking around takes long, and is asked for several times."""

    def __init__(self, frames: np.ndarray):
        self.frames = frames

    def __hash__(self) -> int:
        return hash(self.frames.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frames) and np.array_equal(self.frames, other.frames)


@lru_cache(maxsize=1)
def _looked(known: _Frames, placement: Placement) -> Seen:
    frames = _floats(known.frames)
    return look_around(frames, placement, find_cuts(thumbnails_of(frames), CUT_THRESHOLD))


def _floats(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(frames)).float() / 255
