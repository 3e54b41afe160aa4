"""What a training clip hides: which sides, how much of them, which frames are whole, which conditions are dropped.

Shares and ranges are the papers' (M3DDM, arXiv 2309.02119; M3DDM+, arXiv 2601.11048). Everything is drawn from the
generator given, so that a sample is a function of its number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDES = ("left", "top", "right", "bottom")
PAIRS = (("left", "right"), ("top", "bottom"))
RATIO = (0.15, 0.75)
"""Share of the picture's width or height that is hidden in a direction."""

MAX_STRIDE = 30
EVEN, INVERSE = STRIDE_SHARES = ("even", "inverse")

FRAME_MODES = {"context": 0.3, "ends": 0.35, "any": 0.35}
"""Only the border's context; the first frame, or first and last, given whole; each frame whole with even chances."""


@dataclass(frozen=True)
class Strategy:
    """How often each kind of mask is drawn, in this order: four sides, one side, opposite pair, subset, everything.

    ``halved``: each chosen side hides half the ratio, whatever their number. Otherwise a side hides its ratio where it
    is the only one in its direction, and half of it where the opposite side is hidden too: the ratio is always that of
    the direction.
    """

    shares: dict[str, float]
    halved: bool


STRATEGIES = {
    "m3ddm": Strategy({"four": 0.2, "one": 0.1, "opposite": 0.35, "subset": 0.1, "everything": 0.25}, halved=False),
    "m3ddm_plus": Strategy({"four": 0.15, "one": 0.3, "opposite": 0.55}, halved=True),
}


@dataclass(frozen=True)
class Border:
    """One mask: how much is hidden of each side, as shares of the width (left, right) or the height (top, bottom)."""

    kind: str
    hidden: dict[str, float]

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the rectangle (x, y, width, height) left to be seen, in pixels; of size 0 where nothing is."""
        if self.kind == "everything":
            return 0, 0, 0, 0
        left, top = round(self.hidden["left"] * width), round(self.hidden["top"] * height)
        right, bottom = round(self.hidden["right"] * width), round(self.hidden["bottom"] * height)
        return left, top, max(0, width - left - right), max(0, height - top - bottom)

    def mask(self, width: int, height: int) -> np.ndarray:
        """Return (height, width) float32: 1 where hidden."""
        x, y, wide, high = self.window(width, height)
        mask = np.ones((height, width), dtype=np.float32)
        mask[y : y + high, x : x + wide] = 0
        return mask


def draw_border(rng: np.random.Generator, strategy: str, ratio: tuple[float, float] = RATIO) -> Border:
    """Draw one mask, the same for every frame of a clip and for its global frames.

    Raises ``ValueError`` for a strategy that ``STRATEGIES`` does not hold.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"got mask strategy {strategy!r}, expected one of {', '.join(STRATEGIES)}")
    rules = STRATEGIES[strategy]
    kind = str(rng.choice(list(rules.shares), p=list(rules.shares.values())))
    chosen = _sides(rng, kind)
    ratios = {"horizontal": rng.uniform(*ratio), "vertical": rng.uniform(*ratio)}
    hidden = dict.fromkeys(SIDES, 0.0)
    for first, second, direction in (("left", "right", "horizontal"), ("top", "bottom", "vertical")):
        sides = [side for side in (first, second) if side in chosen]
        for side in sides:
            hidden[side] = ratios[direction] / (2 if rules.halved else len(sides))
    return Border(kind, hidden)


def _sides(rng: np.random.Generator, kind: str) -> tuple[str, ...]:
    if kind == "one":
        return (SIDES[rng.integers(4)],)
    if kind == "opposite":
        return PAIRS[rng.integers(2)]
    if kind == "subset":
        # Every subset but the empty one, which would hide nothing.
        number = int(rng.integers(1, 16))
        return tuple(side for bit, side in enumerate(SIDES) if number >> bit & 1)
    return SIDES


def draw_whole_frames(rng: np.random.Generator, frames: int) -> tuple[str, np.ndarray]:
    """Draw which frames of a clip are given whole, of a single picture never: the mode's name and (frames,) bool."""
    mode = str(rng.choice(list(FRAME_MODES), p=list(FRAME_MODES.values())))
    whole = np.zeros(frames, dtype=bool)
    if frames == 1:
        # A picture given whole leaves nothing to be made.
        return mode, whole
    if mode == "ends":
        whole[0] = True
        whole[-1] = rng.uniform() < 0.5
    elif mode == "any":
        whole[:] = rng.uniform(size=frames) < 0.5
        # A clip in which nothing is left to be made teaches nothing.
        if whole.all():
            whole[rng.integers(frames)] = False
    return mode, whole


def draw_stride(rng: np.random.Generator, frames: int, clip: int, largest: int = MAX_STRIDE, shares: str = EVEN) -> int:
    """Draw the stride of a clip of ``clip`` frames from a video of ``frames``, among those that fit.

    ``shares``: "even" is the paper's; "inverse" draws stride s with a share of 1 / s: small ones most often, as
    most clips of a long video are of the last level.
    """
    if clip == 1:
        return 1
    fitting = max(1, min(largest, (frames - 1) // (clip - 1)))
    if shares == EVEN:
        return int(rng.integers(1, fitting + 1))
    weights = 1 / np.arange(1, fitting + 1)
    return 1 + int(rng.choice(fitting, p=weights / weights.sum()))


def draw_dropout(rng: np.random.Generator, context: float, global_frames: float) -> tuple[bool, bool]:
    """Draw, independently, whether the context and whether the global frames are withheld (for guidance)."""
    return bool(rng.uniform() < context), bool(rng.uniform() < global_frames)
