"""The finished frames: the source's own pixels at full size, the generated border scaled up to meet them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..canvas.build import OnFrames, require_source
from ..canvas.placement import Placement
from ..canvas.source_mask import read_matte
from ..frames import chunks, drop_alpha
from .blend import BLENDS
from .colour_match import COLOUR_MATCHES
from .patch import patch, patches
from .seam import Seam, rectangles
from .view import View

FEATHER = 8
"""Pixels of the soft edge, unless told otherwise."""


def composite(
    source: Tensor,
    generated: Tensor,
    placement: Placement,
    *,
    feather: int = FEATHER,
    colour_match: str = "none",
    resampling: str = "lanczos",
    blend: str = "feather",
    source_mask: Tensor | None = None,
    on_frames: OnFrames | None = None,
) -> Tensor:
    """Put the source's own pixels into the generated frames, at the target's full size.

    source: (n, h, w, 3 or 4), float, 0..1, of the placement's source size. A fourth channel (alpha) is dropped.
    generated: (n, gh, gw, 3 or 4), float, the canvas as generated, at its own size or scaled by any one factor.
    source_mask: (h, w), (1, h, w) or (n, h, w), float: from 0.5 upwards the generated picture takes the source's place.
    The options are those of `Compositor`, which takes a video some frames at a time.

    Returns (n, target height, target width, 3) of the source's dtype; what was generated is clamped to 0..1. A
    placement that `is_full` gives the source, unchanged but for what is under the mask. Raises ValueError for what does
    not belong together.
    """
    generated = drop_alpha(generated)
    height, width = generated.shape[1:3]
    compositor = Compositor(
        placement,
        size=(width, height),
        feather=feather,
        colour_match=colour_match,
        resampling=resampling,
        blend=blend,
    )
    return compositor(source, generated, source_mask, on_frames)


class Compositor:
    """Composites a video in order, any number of frames at a time.

    What a frame needs to know of those before it (the colours along the seam) is carried in between, so that the
    result does not depend on how the video was cut; a scene that has nothing to do with the one before wants a
    compositor of its own.

    size: (width, height) of the generated frames, by default the canvas's.
    feather: over so many target pixels, inside the source, the source fades into the generated picture towards the
        border and towards what is masked of it. A source pixel `feather` or more pixels away from both is bit-equal to
        the source; with 0 all are.
    colour_match: "linear" gives each generated frame and channel the gain and offset that fit it best to the source
        along the seam; "steady" does the same but does not let them change by chance; "none" leaves the colours alone.
    blend: "gradient" corrects the border smoothly so that it meets the source without a jump (see `membrane`);
        "feather" does nothing of the kind.
    resampling: "lanczos", "bicubic" or "bilinear", for the generated border.

    Raises ValueError for an unknown option.
    """

    def __init__(
        self,
        placement: Placement,
        *,
        size: tuple[int, int] | None = None,
        feather: int = FEATHER,
        colour_match: str = "none",
        resampling: str = "lanczos",
        blend: str = "feather",
    ):
        if feather < 0:
            raise ValueError(f"got feather={feather}, expected 0 or more pixels")
        for name, value, known in (("colour_match", colour_match, COLOUR_MATCHES), ("blend", blend, BLENDS)):
            if value not in known:
                raise ValueError(f"got the {name} {value!r}, expected one of {', '.join(known)}")
        width, height = size or placement.canvas
        self.placement, self.feather = placement, feather
        self.view = View.of(placement, (height, width), resampling)
        self.colours = COLOUR_MATCHES[colour_match]()
        self.blend = BLENDS[blend](self.view)
        across, along = (_source_share(placement, axis, feather) for axis in (0, 1))
        self.share = torch.minimum(along[:, None], across[None, :])
        """Of each source pixel, how much is kept."""

    def __call__(
        self,
        source: Tensor,
        generated: Tensor,
        source_mask: Tensor | None = None,
        on_frames: OnFrames | None = None,
    ) -> Tensor:
        """Composite the next `n` frames: source (n, h, w, 3 or 4) and generated (n, gh, gw, 3 or 4), float.

        source_mask: (1 or n, h, w), where the generated picture takes the source's place, as for `composite`.

        Returns (n, target height, target width, 3) of the source's dtype. Raises ValueError for what does not belong
        together.
        """
        placement, source = self.placement, drop_alpha(source)
        require_source(source, placement)
        matte = read_matte(source_mask, placement.source, len(source))
        if placement.is_full and matte is None:
            return source
        generated = drop_alpha(generated)
        self._require_generated(generated, len(source))
        result = source.new_empty(len(source), placement.target[1], placement.target[0], 3)
        for part in chunks(len(source), *placement.target):
            hole = None if matte is None else (matte if len(matte) == 1 else matte[part]).to(source.device)
            self._compose(source[part], generated[part].to(source.device).float(), hole, result[part])
            if on_frames:
                on_frames(part.stop)
        return result

    def _compose(self, source: Tensor, frames: Tensor, matte: Tensor | None, result: Tensor) -> None:
        """Write finished frames into `result` from source and generated frames, and the source's matte."""
        if matte is not None:
            frames = self.colours.around(matte, self.view.band, frames, source)
            # From here on the patched source is the source: its border is where the rest begins.
            source = self._patched(matte, frames, source)
        result[(slice(None), *self.view.own)] = source
        if self.placement.is_full:
            return
        seam = Seam(self.view.band, frames, source)
        if matte is None:
            seam = self.colours.along(seam)
        self._add_border(self.blend.corrected(seam), source, result)

    def _patched(self, matte: Tensor, frames: Tensor, source: Tensor) -> Tensor:
        """Source frames in which the generated picture stands under the matte."""
        source = source.clone()
        for which, rectangle in patches(matte, self.feather):
            place = (which, *rectangle)
            made = self.view.of_source(frames[which], rectangle)
            source[place] = patch(source[place], made, matte[place], self.feather, self.blend.patch)
        return source

    def _add_border(self, frames: Tensor, source: Tensor, result: Tensor) -> None:
        """Write the border into `result`, and the edge of the source that fades into it."""
        fringes = self.blend.fringes(frames, source, self.share)
        depths = (edge + self.feather if edge else 0 for edge in self.placement.border)
        for band in rectangles(self.placement.target, tuple(depths)):
            picture = self.view.of_target(frames, band)
            for rectangle, correction in fringes:
                for here, there in _overlap(band, rectangle):
                    picture[here] += correction[there]
            picture = picture.clamp_(0, 1).to(source.dtype)
            for here, there in _overlap(band, self.view.own):
                kept = self.share[there[1:]].unsqueeze(-1).to(source)
                # Where all is kept the source is copied, not computed: its bits stay, whatever was generated.
                picture[here] = torch.where(kept == 1, source[there], torch.lerp(picture[here], source[there], kept))
            result[(slice(None), *band)] = picture

    def _require_generated(self, generated: Tensor, count: int) -> None:
        """Raise ValueError unless generated frames (n, gh, gw, 3) are as many as the source's, and the whole canvas."""
        if len(generated) != count:
            raise ValueError(
                f"got {len(generated)} generated frames for {count} source frames, expected {count}: decode the "
                "latents of all frames"
            )
        height, width = generated.shape[1:3]
        canvas_width, canvas_height = self.placement.canvas
        # An upscaler rounds each side for itself, so up to a pixel may be amiss.
        if abs(width * canvas_height - height * canvas_width) >= max(canvas_width, canvas_height):
            raise ValueError(
                f"got generated frames of {width}x{height}, expected the whole canvas, {canvas_width}x{canvas_height}, "
                "or that scaled by one factor on both sides: do not crop it before it comes here"
            )
        if (height, width) != self.view.size:
            raise ValueError(
                f"got generated frames of {width}x{height}, expected {self.view.size[1]}x{self.view.size[0]}: make "
                "another compositor for frames of another size"
            )


def _overlap(
    place: tuple[slice, slice], other: tuple[slice, slice]
) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Where two rectangles (rows, columns) overlap: the index into frames of the one and of the other, if they do."""
    common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(place, other, strict=True)]
    if any(span.start >= span.stop for span in common):
        return []
    here, there = (
        (slice(None), *(slice(s.start - w.start, s.stop - w.start) for s, w in zip(common, whole, strict=True)))
        for whole in (place, other)
    )
    return [(here, there)]


def _source_share(placement: Placement, axis: int, feather: int) -> Tensor:
    """The share that each pixel keeps along an axis: next to 0 at the border, 1 from `feather` pixels inwards."""
    size, before, after = placement.source[axis], placement.border[axis], placement.border[axis + 2]
    share = torch.ones(size, dtype=torch.float64)
    ramp = (torch.arange(size, dtype=torch.float64) + 1) / max(feather, 1)
    for border, distance in ((before, ramp), (after, ramp.flip(0))):
        if border:
            distance = distance.clamp(max=1)
            share = torch.minimum(share, distance * distance * (3 - 2 * distance))
    return share.float()
