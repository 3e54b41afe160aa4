"""The finished frames: the source's own pixels at full size, the generated border scaled up to meet them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..canvas.placement import Placement
from ..canvas.source_mask import matte_at, read_matte
from ..frames import chunks, drop_alpha
from .colour_match import SteadyColours, fit_colours
from .fringe import fringe, sides
from .membrane import REACH, Membrane, cell_size
from .patch import patch, patches
from .resample import resample, resampling_matrix
from .seam import SeamBand, rectangles

COLOUR_MATCHES = ("none", "linear", "steady")
BLENDS = ("feather", "gradient")


def composite(
    source: Tensor,
    generated: Tensor,
    placement: Placement,
    *,
    feather: int = 8,
    colour_match: str = "none",
    resampling: str = "lanczos",
    blend: str = "feather",
    source_mask: Tensor | None = None,
) -> Tensor:
    """Put the source's own pixels into the generated frames, at the target's full size.

    source: (n, h, w, 3 or 4), float, 0..1, of the placement's source size; n is the placement's `frames`, or its
        `source_frames`, of which the first `frames` are taken. A fourth channel (alpha) is dropped.
    generated: (frames, gh, gw, 3 or 4), float, the canvas as generated, at its own size or scaled by any one factor.
    source_mask: (h, w), (1, h, w) or one for each source frame, float: from 0.5 upwards the generated picture takes the
        source's place.
    The options are those of `Compositor`, which takes a video some frames at a time.

    Returns (frames, target height, target width, 3) of the source's dtype; what was generated is clamped to 0..1. A
    placement that `is_full` gives the source, unchanged but for what is under the mask. Raises ValueError for what does
    not belong together.
    """
    compositor = Compositor(placement, feather=feather, colour_match=colour_match, resampling=resampling, blend=blend)
    if len(source) not in (placement.frames, placement.source_frames):
        raise ValueError(
            f"Got {len(source)} source frames. Expected {placement.frames}, or all {placement.source_frames} of the "
            "video: connect the frames of the Edge Mask."
        )
    matte = read_matte(source_mask, placement.source, placement.frames, placement.source_frames)
    if len(generated) != placement.frames and not (placement.is_full and matte is None):
        raise ValueError(
            f"Got {len(generated)} generated frames. Expected {placement.frames}: decode the latent of all frames."
        )
    return compositor(source[: placement.frames], generated, matte)


class Compositor:
    """Composites a video in order, any number of frames at a time.

    What a frame needs to know of those before it (the colours along the seam) is carried in between, so that the
    result does not depend on how the video was cut; a scene that has nothing to do with the one before wants a
    compositor of its own.

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
        feather: int = 8,
        colour_match: str = "none",
        resampling: str = "lanczos",
        blend: str = "feather",
    ):
        if feather < 0:
            raise ValueError(f"feather is {feather}. Expected 0 or more pixels.")
        for name, value, known in (("colour_match", colour_match, COLOUR_MATCHES), ("blend", blend, BLENDS)):
            if value not in known:
                raise ValueError(f"Unknown {name} {value!r}. Expected one of {', '.join(known)}.")
        self.placement, self.feather, self.resampling = placement, feather, resampling
        across, along = (_source_share(placement, axis, feather) for axis in (0, 1))
        self.share = torch.minimum(along[:, None], across[None, :])
        self.fit = {"none": None, "linear": fit_colours, "steady": SteadyColours()}[colour_match]
        self.gradient = blend == "gradient"
        self.size: tuple[int, int] | None = None

    def __call__(self, source: Tensor, generated: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """Composite the next `n` frames: source (n, h, w, 3 or 4) and generated (n, gh, gw, 3 or 4), float.

        source_mask: (1 or n, h, w), where the generated picture takes the source's place, as for `composite`.

        Returns (n, target height, target width, 3) of the source's dtype. Raises ValueError for what does not belong
        together.
        """
        placement = self.placement
        source = _checked_source(source, placement)
        matte = read_matte(source_mask, placement.source, len(source), len(source))
        if placement.is_full and matte is None:
            return source
        generated = _checked_generated(generated, len(source), placement)
        if self.size != generated.shape[1:3]:
            self._prepare(tuple(generated.shape[1:3]))
        result = source.new_empty(len(source), placement.target[1], placement.target[0], 3)
        for part in chunks(len(source), *placement.target):
            hole = None if matte is None else (matte if len(matte) == 1 else matte[part]).to(source.device)
            self._compose(source[part], generated[part].to(source.device).float(), hole, result[part])
        return result

    def _prepare(self, size: tuple[int, int]) -> None:
        """Make ready for generated frames of (height, width)."""
        placement = self.placement
        self.size = size
        self.columns, self.rows = (_target_matrix(placement, axis, size[1 - axis], self.resampling) for axis in (0, 1))
        if self.fit is not None or self.gradient:
            self.band = SeamBand.of(placement, size)
        if self.gradient and not placement.is_full:
            self.membrane = Membrane(placement, self.band, size)
            scale = max(placement.target) / max(placement.canvas_target[2:])
            self.reach = round(REACH * cell_size(placement) * scale)

    def _compose(self, source: Tensor, frames: Tensor, matte: Tensor | None, result: Tensor) -> None:
        """Write finished frames into `result` from source and generated frames, and the source's matte."""
        own = self._own()
        if matte is not None:
            frames = self._matched_around(matte, frames, source)
            # From here on the patched source is the source: its border is where the rest begins.
            source = self._patched(matte, frames, source)
        result[:, own[0], own[1]] = source
        if self.placement.is_full:
            return
        frames = self._corrected(frames, source, fitted=matte is not None)
        fringes = self._fringes(frames, source) if self.gradient else []
        depths = (edge + self.feather if edge else 0 for edge in self.placement.border)
        for band in rectangles(self.placement.target, tuple(depths)):
            picture = resample(frames, self.rows[band[0]], self.columns[band[1]])
            for rectangle, correction in fringes:
                for here, there in _overlap(band, rectangle):
                    picture[here] += correction[there]
            picture = picture.clamp_(0, 1).to(source.dtype)
            for here, there in _overlap(band, own):
                kept = self.share[there[1:]].unsqueeze(-1).to(source)
                # Where all is kept the source is copied, not computed: its bits stay, whatever was generated.
                picture[here] = torch.where(kept == 1, source[there], torch.lerp(picture[here], source[there], kept))
            result[:, band[0], band[1]] = picture

    def _own(self) -> tuple[slice, slice]:
        """The source's rows and columns in the target."""
        (x, y), (width, height) = self.placement.offset, self.placement.source
        return slice(y, y + height), slice(x, x + width)

    def _matched_around(self, matte: Tensor, frames: Tensor, source: Tensor) -> Tensor:
        """Generated frames with gain and offset as the source asks for them, both at the border and around the matte.

        What is under the matte has no say, so each frame is looked at by itself.
        """
        if self.fit is None:
            return frames
        made, true = self.band.read_all(frames, source)
        near = self.band.near(matte_at(matte, (made.shape[2], made.shape[1])).to(made.device))
        matched = frames.clone()
        for number, frame in enumerate(matched):
            pixels = near[number % len(near)]
            if pixels.any():
                gain, offset = self.fit(made[number, pixels][None], true[number, pixels][None])
                frame.mul_(gain[0]).add_(offset[0])
        return matched

    def _patched(self, matte: Tensor, frames: Tensor, source: Tensor) -> Tensor:
        """Source frames in which the generated picture stands under the matte."""
        source = source.clone()
        own = self._own()
        for which, (high, wide) in patches(matte, self.feather):
            made = resample(frames[which], self.rows[own[0]][high], self.columns[own[1]][wide])
            hole = matte[which, high, wide]
            source[which, high, wide] = patch(
                source[which, high, wide], made, hole, feather=self.feather, smooth=self.gradient
            )
        return source

    def _corrected(self, frames: Tensor, source: Tensor, *, fitted: bool) -> Tensor:
        """Generated frames with the colours that the source asks for along the seam; gain and offset may be done."""
        if not self.gradient and (self.fit is None or fitted):
            return frames
        made, true = self.band.read_made(frames), self.band.read_true(source)
        if self.fit is not None and not fitted:
            gain, offset = (values[:, None] for values in self.fit(made, true))
            made = made * gain + offset
            frames = frames * gain[:, None] + offset[:, None]
        return frames + self.membrane(true - made) if self.gradient else frames

    def _fringes(self, frames: Tensor, source: Tensor) -> list[tuple[tuple[slice, slice], Tensor]]:
        """What is to be added near the border so that it meets the source exactly, by rectangle of the target."""
        found = []
        (x, y), (width, height) = self.placement.offset, self.placement.source
        rows, columns = self.rows[y : y + height], self.columns[x : x + width]
        for side in sides(self.placement, self.reach):
            near = slice(side.edge, side.edge + 1)
            high, wide = (slice(0, height), near) if side.axis == 0 else (near, slice(0, width))
            made = resample(frames, rows[high], columns[wide])
            # With a feather the finished picture at the edge is only in part the source's.
            difference = (source[:, high, wide].float() - made) * self.share[high, wide, None].to(made)
            line = torch.where(torch.isfinite(difference), difference, 0).flatten(1, 2)
            found.append((side.rectangle(self.placement), fringe(side, line, self.reach)))
        return found


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


def _target_matrix(placement: Placement, axis: int, size: int, kernel: str) -> Tensor:
    """Reads a generated axis of `size` pixels at every target pixel, such that the source's rectangle on the canvas
    falls exactly on the source's rectangle in the target."""
    start, length = placement.canvas_source[axis], placement.canvas_source[axis + 2]
    factor = size / placement.canvas[axis]
    step = factor * length / placement.source[axis]
    first = factor * start + (0.5 - placement.offset[axis]) * step - 0.5
    return resampling_matrix(first, step, placement.target[axis], size, kernel)


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


def _checked_source(source: Tensor, placement: Placement) -> Tensor:
    source = drop_alpha(source)
    width, height = placement.source
    if tuple(source.shape[1:3]) != (height, width):
        raise ValueError(
            f"Got source frames of {source.shape[2]}x{source.shape[1]}. Expected {width}x{height}, the frames that the "
            "placement was made for: connect the frames of the Edge Mask."
        )
    return source


def _checked_generated(generated: Tensor, count: int, placement: Placement) -> Tensor:
    generated = drop_alpha(generated)
    if len(generated) != count:
        raise ValueError(f"Got {len(generated)} generated frames for {count} source frames. Expected as many.")
    height, width = generated.shape[1:3]
    canvas_width, canvas_height = placement.canvas
    # An upscaler rounds each side for itself, so up to a pixel may be amiss.
    if abs(width * canvas_height - height * canvas_width) >= max(canvas_width, canvas_height):
        raise ValueError(
            f"Got generated frames of {width}x{height}. Expected the whole canvas, {canvas_width}x{canvas_height}, or "
            "that scaled by one factor on both sides: do not crop it before it comes here."
        )
    return generated
