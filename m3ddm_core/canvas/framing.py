"""The frame that is asked for, before it is known which source it is for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .placement import Anchor, Placement, find_corner, place
from .result_size import ResultSize


@dataclass(frozen=True)
class Framing:
    """The keywords of `place`: a ratio or pixels to add, where the source lies, the canvas, and how large the result
    is; and the canvas's fill.

    ``canvas_size`` 0 leaves it to the checkpoint: `for_canvas` puts in what that was made for.
    """

    ratio: str | None = "16:9"
    pixels: tuple[int, int, int, int] | None = None
    anchor: Anchor = "center"
    offset: tuple[int, int] | None = None
    canvas_size: int = 0
    canvas_shape: str = "square"
    size_multiple: int = 2
    fill: str = "smooth"
    size: ResultSize = field(default_factory=ResultSize)

    def for_canvas(self, size: int) -> Framing:
        """The same, on a canvas of ``size`` where none is asked for."""
        return self if self.canvas_size else replace(self, canvas_size=size)

    def moved(self, source: tuple[int, int], anchor: Anchor, offset: tuple[int, int] | None) -> Framing:
        """The same target for a source of (width, height) that lies elsewhere in it: at an anchor, or at an offset.

        Raises ValueError, as `find_corner` does, for a place that is none.
        """
        if self.pixels is None:
            return replace(self, anchor=anchor, offset=offset)
        left, top, right, bottom = self.pixels
        across, along = left + right, top + bottom
        x, y = find_corner(source, (source[0] + across, source[1] + along), anchor, offset)
        return replace(self, pixels=(x, y, across - x, along - y))

    def place(self, source: tuple[int, int]) -> Placement:
        """Place frames of (width, height). Raises ValueError, as `place` does, for what does not fit."""
        return place(
            source,
            ratio=self.ratio,
            pixels=self.pixels,
            anchor=self.anchor,
            offset=self.offset,
            canvas_size=self.canvas_size,
            canvas_shape=self.canvas_shape,
            size_multiple=self.size_multiple,
            size=self.size,
        )
