"""What M3DDM Edge Mask says of its canvas, so that what does not belong to it is found out further down the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ...m3ddm_core.canvas.build import OnFrames
from ...m3ddm_core.canvas.placement import Placement, with_canvas
from ...m3ddm_core.canvas.source_mask import check_mask, scale_mask
from ...m3ddm_core.frames import scale_frames


@dataclass(frozen=True)
class PlacedVideo:
    """A video on a canvas: what travels on the socket M3DDM_PLACEMENT.

    The geometry is the core's. How many frames there are, each tensor says by itself; but a node is handed several,
    which the user may have wired from different places, and only this says which video they all should be of.
    """

    placement: Placement
    frames: int
    """How many frames are used: the first ones of the source."""
    source_frames: int
    """How many frames the source has."""
    fill: str
    """How the canvas was filled: a key of `FILL_METHODS`. The canvas of a second pass, and guide frames, are too."""
    source_size: tuple[int, int]
    """(width, height) of the source before it was scaled to the placement's."""
    masked: bool = False
    """Whether the user has a mask over the source."""

    def used(self, source: Tensor, on_frames: OnFrames | None = None) -> Tensor:
        """The frames (frames, h, w, c) that are used, of themselves or of the whole source, scaled where they are not
        yet; nothing is copied where they are. ``on_frames(done)`` hears of those that were scaled.

        Raises ValueError for frames of another size or number.
        """
        height, width = source.shape[1:3]
        known = (width, height) in (self.placement.source, self.source_size)
        if not known or len(source) not in (self.frames, self.source_frames):
            raise ValueError(
                f"got {len(source)} source frames of {width}x{height}, expected {self.frames}, or all "
                f"{self.source_frames} of the video, of {self.placement.source[0]}x{self.placement.source[1]}: connect "
                "the output 'frames' of the M3DDM Edge Mask that made the placement"
            )
        return scale_frames(source[: self.frames], self.placement.source, on_frames)

    def used_masks(self, mask: Tensor | None) -> Tensor | None:
        """What a source mask, (h, w) or (m, h, w), has for these frames: (1 or frames, h, w), scaled as they are.

        Raises ValueError for masks of another size or number.
        """
        scaled = mask is not None and (mask.shape[-1], mask.shape[-2]) == self.placement.source
        size = self.placement.source if scaled else self.source_size
        return scale_mask(check_mask(mask, size, self.frames, self.source_frames), self.placement.source)

    def require_canvas(self, canvas: Tensor) -> None:
        """Raise ValueError unless canvas frames (n, h, w, c) are as many, and of the size, as Edge Mask made them."""
        n, height, width = canvas.shape[:3]
        if (width, height) != self.placement.canvas or n != self.frames:
            raise ValueError(
                f"got a placement for {self.frames} frames on a canvas of {self.placement.canvas[0]}x"
                f"{self.placement.canvas[1]} and a canvas of {n} frames of {width}x{height}; connect canvas, mask and "
                "placement of the same M3DDM Edge Mask"
            )

    def on_canvas(self, canvas_size: int, canvas_shape: str) -> PlacedVideo:
        """The same video in the same target on another canvas. Raises what `with_canvas` raises."""
        return replace(self, placement=with_canvas(self.placement, canvas_size, canvas_shape))
