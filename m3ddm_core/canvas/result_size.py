"""How large finished frames are to be, where that is not simply the source's own scale.

The source is scaled, once, so that the frame around it has the size asked for. Everything after that takes the scaled
source for the source. Factors are fractions, so that a drawing of them (nodes/web/placement.js) rounds alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import floor, isqrt

from .limits import MOST_SIDE
from .quoted import quoted

AUTOMATIC, AS_SOURCE = "automatic", "as the source"
SHORT_SIDE, HEIGHT, LONGEST_SIDE, MEGAPIXELS = "short side", "height", "longest side", "megapixels"

MOST_BY_ITSELF = 1080
"""Pixels of the short side that a result has without being asked: what a screen shows."""
MOST_MEGAPIXELS = 134.0
"""As many as `require_target` takes."""

Side = int | Fraction
Size = tuple[Side, Side]

MEASURES: dict[str, Callable[[Size], Side]] = {
    SHORT_SIDE: min,
    HEIGHT: lambda size: size[1],
    LONGEST_SIDE: max,
}
"""What of a frame (width, height) is measured in pixels."""
KINDS = (AUTOMATIC, *MEASURES, MEGAPIXELS, AS_SOURCE)

_ROOT_BITS = 24
"""Binary digits behind the point to which the root of a megapixel factor is taken: a tenth of a pixel in a million."""
_TYPED = re.compile(
    r"(?:(?P<name>height|longest|short):)?(?P<pixels>\d{1,6})p?|(?P<mega>\d{1,3}(?:\.\d{0,6})?) ?mp", re.I | re.ASCII
)


@dataclass(frozen=True)
class ResultSize:
    """How large finished frames are: a ``kind`` of `KINDS`, and its ``value`` in pixels or megapixels.

    "automatic" gives them the source's own short side, but at most `MOST_BY_ITSELF`; where pixels are added, so that
    they count as typed, the source's short side alone is held to that. "as the source" leaves the source as it is, and
    the frame is what its shape makes of it. Those two have no value. A megapixel is a million pixels.
    Raises ValueError for an unknown kind, and for a value beyond what `require_target` takes.
    """

    kind: str = AS_SOURCE
    value: float = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"got the result size {quoted(self.kind)}, expected one of {', '.join(KINDS)}")
        if self.kind == MEGAPIXELS and not 0.01 <= self.value <= MOST_MEGAPIXELS:
            raise ValueError(f"got a result of {self.value} megapixels, expected 0.01 to {MOST_MEGAPIXELS:g}")
        if self.kind in MEASURES and (type(self.value) is not int or not 1 <= self.value <= MOST_SIDE):
            raise ValueError(f"got a result with a {self.kind} of {self.value} pixels, expected 1 to {MOST_SIDE}")

    def factor(self, source: tuple[int, int], target: Size, by_pixels: bool) -> Fraction:
        """By how much source and target (width, height), both in source pixels, are scaled.

        ``by_pixels``: the target is the source and pixels added to it.
        """
        if self.kind == AS_SOURCE:
            return Fraction(1)
        if self.kind == AUTOMATIC:
            return Fraction(min(*source, MOST_BY_ITSELF)) / min(source if by_pixels else target)
        if self.kind == MEGAPIXELS:
            share = Fraction(round(self.value * 100) * 10_000) / (target[0] * target[1])
            return Fraction(isqrt(floor(share * 4**_ROOT_BITS)), 2**_ROOT_BITS)
        return Fraction(self.value) / MEASURES[self.kind](target)


def parse_result_size(text: str) -> ResultSize:
    """Read a size as one types it: "automatic", "source", "1080" or "1080p" (the short side), "height:720",
    "longest:1920", "2.1MP".

    Raises ValueError for anything else.
    """
    words = {"automatic": AUTOMATIC, "auto": AUTOMATIC, "source": AS_SOURCE}
    if text.strip().lower() in words:
        return ResultSize(words[text.strip().lower()])
    match = _TYPED.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"got the size {quoted(text)}, expected automatic, source, pixels of the short side such as 1080, "
            "height:720, longest:1920, or megapixels such as 2.1MP"
        )
    if match["mega"]:
        return ResultSize(MEGAPIXELS, float(match["mega"]))
    kinds = {"height": HEIGHT, "longest": LONGEST_SIDE}
    return ResultSize(kinds.get((match["name"] or "").lower(), SHORT_SIDE), int(match["pixels"]))


def scaled(
    source: tuple[int, int],
    exact: Size,
    target: tuple[int, int],
    corner: tuple[int, int],
    factor: Fraction,
    multiple: int,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """A source at ``corner`` of a ``target``, which is ``exact`` but for rounding, by a factor: source, target, corner.

    The target's sides become the nearest multiples. A side of the source that needs no border is as long as the
    target's; what lies around the others is shared out as it was.
    """
    sides = []
    for length, whole, room, before in zip(
        source, exact, (target[0] - source[0], target[1] - source[1]), corner, strict=True
    ):
        long = max(_round(whole * factor / multiple), 1) * multiple
        inner = long if whole == length else min(max(_round(length * factor), 1), long)
        sides.append((inner, long, _round(Fraction((long - inner) * before, room)) if room else 0))
    (width, wide, left), (height, high, top) = sides
    return (width, height), (wide, high), (left, top)


def _round(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))
