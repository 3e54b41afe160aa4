"""What is known of a video so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ..canvas.placement import Placement


@dataclass(frozen=True, eq=False)
class OutpaintState:
    """A video on its way from canvas to result, as latents; never changed in place.

    All latents are in model space, float32, one row a frame. ``start`` (n, 4, h, w): the filled canvas, from which
    sampling starts. ``masked`` (n, 4, h, w): the canvas with everything masked blacked out; ``masks`` (n, 1, h, w):
    1 where the canvas is to be filled. ``blank`` (1, 4, h, w): a black frame. ``latents`` (n, 4, h, w): the result
    where a frame is ``known``, the start elsewhere. ``guides`` are the frames that were known before any sampling.
    ``global_latents`` (g, 4, gh, gw); ``fps``: frames a second of the video; ``placement``: where canvas and source
    lie, or ``None`` for a canvas of the user's own. ``fill``: how the canvas was filled, so that what lies beyond the
    target is filled alike on guide frames. ``latent_rgb`` (5, 3): what latents look like, see `LatentRgbFit`, or
    ``None`` where the canvas had too few colours to tell. It is fitted when the canvas is encoded, the one place where
    pixels and latents of the same frames meet, and kept here for previews.
    """

    start: Tensor
    masked: Tensor
    masks: Tensor
    blank: Tensor
    latents: Tensor
    global_latents: Tensor
    fps: float
    known: frozenset[int]
    guides: frozenset[int]
    placement: Placement | None
    fill: str = "smooth"
    latent_rgb: Tensor | None = None

    @property
    def num_frames(self) -> int:
        """Number of frames of the video."""
        return self.start.shape[0]

    @property
    def unknown_masks(self) -> Tensor:
        """Masks (n, 1, h, w) that are zero on known frames."""
        masks = self.masks.clone()
        masks[sorted(self.known)] = 0
        return masks

    def with_results(self, results: Mapping[int, Tensor]) -> OutpaintState:
        """Return the state in which frames, given as number to latents (4, h, w), are known too."""
        latents = self.latents.clone()
        for index, result in results.items():
            latents[index] = result
        return replace(self, latents=latents, known=self.known.union(results))

    def with_guides(self, guides: Mapping[int, Tensor]) -> OutpaintState:
        """Return the state in which frames given by the user are known; a frame known before is replaced.

        Raises ``ValueError`` for frame numbers outside the video and for latents of another shape.
        """
        for index, latents in guides.items():
            if not 0 <= index < self.num_frames:
                raise ValueError(f"got guide frame number {index}, expected one in 0..{self.num_frames - 1}")
            if latents.shape != self.start.shape[1:]:
                raise ValueError(
                    f"got guide latents of shape {tuple(latents.shape)} for frame {index}, expected "
                    f"{tuple(self.start.shape[1:])}: encode guide frames at the size of the canvas"
                )
        state = self.with_results(guides)
        return replace(state, guides=self.guides.union(guides))

    def without(self, numbers: Collection[int], *, guides: bool = False) -> OutpaintState:
        """Return the state in which frames are unknown again, as before they were sampled; all others stay as they are.

        Frames known from the outset are forgotten only with ``guides``, and only where there is something to generate.
        """
        kept = self.guides
        if guides:
            kept = {index for index in kept if not self.masks[index].any()}
        gone = sorted(self.known.intersection(numbers).difference(kept))
        latents = self.latents.clone()
        latents[gone] = self.start[gone]
        return replace(self, latents=latents, known=self.known.difference(gone), guides=self.guides.difference(gone))
