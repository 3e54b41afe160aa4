"""Sizes and ratios in whole pixels: where the source lies in the target, and where both lie on the canvas.

Three rectangles matter. The *source* is what the camera saw. The *target* is the frame asked for, in source pixels; the
source lies somewhere inside it and the rest is to be generated. The *canvas* is what the network works on: the target
scaled down, centred on a square (as the network was trained) or on a rectangle of the target's own shape.

Everything is computed in integers and fractions, so that equal inputs give equal placements on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

from .limits import MOST_CANVAS, require_target
from .quoted import quoted
from .result_size import ResultSize, Size, scaled
from .typed import plain

LATENT_SCALE = 8
"""Pixels per latent, along each axis: canvas sides are multiples of it."""

MAX_RATIO = 100
"""The widest (or, inverted, the tallest) frame that still passes for a ratio and not for a slip of the keyboard."""

CANVAS_SHAPES = ("square", "target")

_HALF = Fraction(1, 2)
ANCHORS: dict[str, tuple[Fraction, Fraction]] = {
    "center": (_HALF, _HALF),
    "left": (Fraction(0), _HALF),
    "right": (Fraction(1), _HALF),
    "top": (_HALF, Fraction(0)),
    "bottom": (_HALF, Fraction(1)),
    "top left": (Fraction(0), Fraction(0)),
    "top right": (Fraction(1), Fraction(0)),
    "bottom left": (Fraction(0), Fraction(1)),
    "bottom right": (Fraction(1), Fraction(1)),
}
"""Where the source lies inside the target, as the share of the spare room that goes to its left and above it."""

Anchor = str | tuple[float, float]
"""A key of `ANCHORS`, or two such shares, 0 to 1."""

_NUMBER = r"\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}"
_RATIO = re.compile(rf"\s*({_NUMBER})\s*(?:[:/]\s*({_NUMBER})\s*)?", re.ASCII)


@dataclass(frozen=True)
class Placement:
    """Where source, target and canvas lie. Sizes are (width, height), rectangles (x, y, width, height), in pixels.

    Made by `place`; everything after it takes the numbers as they are.
    """

    source: tuple[int, int]
    """The size of the source frames, scaled if the result was to have another size than they make."""
    target: tuple[int, int]
    """The size of the finished frames, in pixels of that source."""
    offset: tuple[int, int]
    """Top-left corner of the source inside the target."""
    canvas: tuple[int, int]
    """The canvas's size; each side is a multiple of 8."""
    canvas_target: tuple[int, int, int, int]
    """The target's rectangle on the canvas: what is cropped out in the end."""
    canvas_source: tuple[int, int, int, int]
    """The resized source's rectangle on the canvas: what is known. All else is masked."""

    @property
    def border(self) -> tuple[int, int, int, int]:
        """Generated pixels on the left, top, right and bottom of the source, in target pixels."""
        left, top = self.offset
        return (
            left,
            top,
            self.target[0] - left - self.source[0],
            self.target[1] - top - self.source[1],
        )

    @property
    def is_full(self) -> bool:
        """True when the source covers the target: there is nothing to outpaint."""
        return self.target == self.source


def parse_ratio(text: str) -> tuple[float, float]:
    """Read a frame's ratio, width first: "16:9", "16/9", "2.39:1", "1.78" (the same as "1.78:1").

    Raises ValueError for anything else, for zero, and beyond 100:1 or 1:100.
    """
    match = _RATIO.fullmatch(plain(text)) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"got the ratio {quoted(text)}, expected width:height, such as 16:9, 2.39:1 or 1.78")
    width, height = match.group(1), match.group(2) or "1"
    _check_ratio(Fraction(width), Fraction(height), text)
    return float(width), float(height)


def place(
    source: tuple[int, int],
    *,
    ratio: str | tuple[float, float] | None = None,
    pixels: tuple[int, int, int, int] | None = None,
    anchor: Anchor = "center",
    offset: tuple[int, int] | None = None,
    canvas_size: int = 256,
    canvas_shape: str = "square",
    size_multiple: int = 2,
    size: ResultSize | None = None,
) -> Placement:
    """Place source frames of `source` (width, height) pixels inside a target and on a canvas.

    The target is asked for in one of two ways:

    `ratio` ("16:9" or a pair of numbers): the smallest frame of that ratio that contains the source. The source lies
        in it as `anchor` says (an `Anchor`), or with its top-left corner at `offset` (x, y), where given.
    `pixels` (left, top, right, bottom): so many source pixels are added on each side; anchor and offset do not matter.

    Target width and height are then rounded to the nearest multiple of `size_multiple`, halves up. Only the border
    grows or shrinks, the source is never cropped: where the nearest multiple is smaller than the source, the next one
    is taken. So an axis that needs no border gets one of a few pixels if `size_multiple` does not divide the source's
    own size (1281 becomes 1282, which a video encoder accepts); `size_multiple=1` keeps odd sizes. With `pixels` the
    difference goes to the sides that were asked for, or to the right and bottom if none was.

    The canvas's long side is `canvas_size`, or the target's long side rounded down to a multiple of 8 where that is
    less (nothing is enlarged). `canvas_shape` "square" makes it a square with the target centred in it; "target" makes
    its short side the target's, rounded up to a multiple of 8. A side of the source that touches the target's edge
    touches it on the canvas too, and a border of half a canvas pixel or more is at least one canvas pixel wide.

    `size`: how large the finished frames are to be, by default as the source makes them. The source is scaled with
    them: `Placement.source` is its size from there on, to which its frames are to be brought (`scale_frames`).

    Raises ValueError for anything that does not fit together, and for a target beyond `MOST_SIDE` and `MOST_AREA`.
    """
    _check_whole("source_width", source[0], 1)
    _check_whole("source_height", source[1], 1)
    _check_canvas(canvas_size, canvas_shape)
    _check_whole("size_multiple", size_multiple, 1)
    if (ratio is None) == (pixels is None):
        raise ValueError(f"got ratio={quoted(ratio)} and pixels={quoted(pixels)}, expected exactly one of the two")

    if ratio is not None:
        exact = _frame_of_ratio(source, ratio)
        target = _rounded(exact, source, size_multiple)
        corner = find_corner(source, target, anchor, offset)
    else:
        exact, target, corner = _target_of_pixels(source, pixels, size_multiple)
    factor = 1 if size is None else size.factor(source, exact, by_pixels=ratio is None)
    if factor != 1:
        source, target, corner = scaled(source, exact, target, corner, factor, size_multiple)
    require_target(target)

    canvas, canvas_target, canvas_source = _rectangles(source, target, corner, canvas_size, canvas_shape)
    return Placement(
        source=(source[0], source[1]),
        target=target,
        offset=corner,
        canvas=canvas,
        canvas_target=canvas_target,
        canvas_source=canvas_source,
    )


def with_canvas(placement: Placement, canvas_size: int, canvas_shape: str) -> Placement:
    """The same source in the same target on another canvas, laid out as `place` does.

    Raises ValueError for a canvas size or shape that `place` does not take.
    """
    _check_canvas(canvas_size, canvas_shape)
    canvas, canvas_target, canvas_source = _rectangles(
        placement.source, placement.target, placement.offset, canvas_size, canvas_shape
    )
    return replace(placement, canvas=canvas, canvas_target=canvas_target, canvas_source=canvas_source)


def _rectangles(
    source: tuple[int, int], target: tuple[int, int], corner: tuple[int, int], canvas_size: int, canvas_shape: str
) -> tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int, int, int]]:
    """The canvas's size, and the rectangles of target and source on it."""
    canvas, inner = _canvas(target, canvas_size, canvas_shape)
    (left, width), (top, height) = (_span(source[i], target[i], corner[i], inner[i + 2]) for i in (0, 1))
    return canvas, inner, (inner[0] + left, inner[1] + top, width, height)


def _frame_of_ratio(source: tuple[int, int], ratio: str | tuple[float, float]) -> Size:
    wide, high = parse_ratio(ratio) if isinstance(ratio, str) else ratio
    try:
        # The decimal as it was written: 2.39 means 239/100, not the nearest binary fraction.
        wide_part, high_part = Fraction(str(wide)), Fraction(str(high))
    except ValueError:
        raise ValueError(f"got the ratio {quoted(ratio)}, expected two positive numbers, width and height") from None
    _check_ratio(wide_part, high_part, ratio)
    shape = wide_part / high_part
    return max(Fraction(source[0]), source[1] * shape), max(Fraction(source[1]), source[0] / shape)


def _target_of_pixels(
    source: tuple[int, int], pixels: tuple[int, int, int, int], multiple: int
) -> tuple[Size, tuple[int, int], tuple[int, int]]:
    for side, value in zip(("left", "top", "right", "bottom"), pixels, strict=True):
        _check_whole(side, value, 0, "pixels are added to the source, never cut off")
    exact = (source[0] + pixels[0] + pixels[2], source[1] + pixels[1] + pixels[3])
    target, corner = _rounded(exact, source, multiple), []
    for size, length, before, after in zip(target, source, pixels[:2], pixels[2:], strict=True):
        extra = size - length - before - after
        if before and after:
            before = min(max(before + extra // 2, 0), size - length)
        elif before:
            before += extra
        corner.append(before)
    return exact, target, (corner[0], corner[1])


def _rounded(frame: Size, source: tuple[int, int], multiple: int) -> tuple[int, int]:
    width, height = (_round_size(Fraction(side), own, multiple) for side, own in zip(frame, source, strict=True))
    return width, height


def _round_size(wanted: Fraction, source: int, multiple: int) -> int:
    nearest = _round(wanted / multiple) * multiple
    return nearest if nearest >= source else -(-source // multiple) * multiple


def find_corner(
    source: tuple[int, int], target: tuple[int, int], anchor: Anchor, offset: tuple[int, int] | None
) -> tuple[int, int]:
    """The source's top-left corner in the target: ``offset`` where given, else as the anchor says.

    Raises ValueError for an anchor that is none, and for an offset that puts the source outside.
    """
    room = (target[0] - source[0], target[1] - source[1])
    if offset is None:
        share = _shares(anchor)
        return floor(room[0] * share[0]), floor(room[1] * share[1])
    for name, value, most in zip(("offset_x", "offset_y"), offset, room, strict=True):
        if type(value) is not int or not 0 <= value <= most:
            raise ValueError(
                f"got {name}={value}, which puts the source of {_size(source)} outside the target of {_size(target)}; "
                f"expected {'0' if most == 0 else f'0 to {most}'}"
            )
    return offset[0], offset[1]


def _shares(anchor: Anchor) -> tuple[Fraction, Fraction]:
    if not isinstance(anchor, tuple):
        if anchor not in ANCHORS:
            raise ValueError(f"got the anchor {quoted(anchor)}, expected one of {', '.join(ANCHORS)}, or an offset")
        return ANCHORS[anchor]
    if not all(0 <= share <= 1 for share in anchor):
        raise ValueError(f"got the anchor {quoted(anchor)}, expected two shares of the spare room, each from 0 to 1")
    # The decimal as it was written.
    across, along = (Fraction(str(share)) for share in anchor)
    return across, along


def _canvas(
    target: tuple[int, int], canvas_size: int, canvas_shape: str
) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    longest = max(target)
    side = max(min(canvas_size, longest) // LATENT_SCALE * LATENT_SCALE, LATENT_SCALE)
    inner = [max(_round(Fraction(size * side, longest)), 1) for size in target]
    if canvas_shape == "square":
        canvas = (side, side)
    else:
        canvas = tuple(-(-size // LATENT_SCALE) * LATENT_SCALE for size in inner)
    x, y = ((canvas[i] - inner[i]) // 2 for i in (0, 1))
    return (canvas[0], canvas[1]), (x, y, inner[0], inner[1])


def _span(source: int, target: int, before: int, room: int) -> tuple[int, int]:
    """Start and length of the source within the `room` canvas pixels that the target takes up along one axis."""
    scale = Fraction(room, target)
    # Both borders are rounded, not the source: an even placement stays even, and no border is no border.
    low, high = _round(before * scale), _round((target - before - source) * scale)
    if low + high < room:
        return low, room - low - high
    # The source is so small beside its border that rounding leaves nothing of it. One pixel it must have.
    middle = floor((before + Fraction(source, 2)) * scale)
    return min(max(middle, min(low, 1)), max(room - 1 - min(high, 1), 0)), 1


def _round(value: Fraction) -> int:
    return floor(value + _HALF)


def _check_ratio(wide: Fraction, high: Fraction, given: object) -> None:
    if wide <= 0 or high <= 0:
        raise ValueError(f"got the ratio {quoted(given)}, expected both sides above zero, as in 16:9")
    if not Fraction(1, MAX_RATIO) <= wide / high <= MAX_RATIO:
        raise ValueError(f"got the ratio {quoted(given)}, expected one within {MAX_RATIO}:1, such as 16:9")


def check_canvas_size(canvas_size: int, name: str = "canvas_size") -> None:
    """Raise ValueError unless it is a multiple of 8 within `MOST_CANVAS`. ``name``: what the user knows it as."""
    _check_whole(name, canvas_size, LATENT_SCALE)
    if canvas_size % LATENT_SCALE:
        nearest = round(canvas_size / LATENT_SCALE) * LATENT_SCALE
        raise ValueError(
            f"got {name}={canvas_size}, expected a multiple of {LATENT_SCALE}, the size of a latent; try {nearest}"
        )
    if canvas_size > MOST_CANVAS:
        raise ValueError(
            f"got {name}={canvas_size}, expected {MOST_CANVAS} pixels at most; the network was made for 256"
        )


def _check_canvas(canvas_size: int, canvas_shape: str) -> None:
    check_canvas_size(canvas_size)
    if canvas_shape not in CANVAS_SHAPES:
        raise ValueError(f"got the canvas_shape {quoted(canvas_shape)}, expected one of {', '.join(CANVAS_SHAPES)}")


def _check_whole(name: str, value: int, least: int, why: str = "") -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"got {name}={value}, expected a whole number, {least} or more{': ' + why if why else ''}")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
