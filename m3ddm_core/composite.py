"""The finished frames: the source's own pixels at full size, the generated border scaled up to meet them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .canvas import drop_alpha, resize
from .chunks import chunks
from .geometry import Placement
from .resample import resample, resampling_matrix

COLOUR_MATCHES = ("none", "linear")
GAIN_LIMITS = (0.5, 2.0)
SHIFT_LIMIT = 0.25
"""The most that colour matching may move the mean of a channel."""
FLAT = 1e-4
"""A variance so small that it says nothing of contrast."""
FIT_ROUNDS = 8


def composite(
    source: Tensor,
    generated: Tensor,
    placement: Placement,
    *,
    feather: int = 8,
    colour_match: str = "none",
    resampling: str = "lanczos",
) -> Tensor:
    """Put the source's own pixels into the generated frames, at the target's full size.

    source: (n, h, w, 3 or 4), float, 0..1, of the placement's source size; n is the placement's `frames`, or its
        `source_frames`, of which the first `frames` are taken. A fourth channel (alpha) is dropped.
    generated: (frames, gh, gw, 3 or 4), float, the canvas as generated, at its own size or scaled by any one factor.
    feather: over so many target pixels, inside the source, the source fades into the generated picture towards the
        border. A source pixel `feather` or more pixels away from the border is bit-equal to the source; with 0 all are.
    colour_match: "linear" gives each generated frame and channel the gain and offset that fit it best to the source
        along the seam; "none" leaves the colours alone.
    resampling: "lanczos", "bicubic" or "bilinear", for the generated border.

    Returns (frames, target height, target width, 3) of the source's dtype; what was generated is clamped to 0..1. A
    placement that `is_full` gives the source unchanged. Raises ValueError for what does not belong together.
    """
    source = _checked_source(source, placement)
    if feather < 0:
        raise ValueError(f"feather is {feather}. Expected 0 or more pixels.")
    if colour_match not in COLOUR_MATCHES:
        raise ValueError(f"Unknown colour_match {colour_match!r}. Expected one of {', '.join(COLOUR_MATCHES)}.")
    if placement.is_full:
        return source
    generated = _checked_generated(generated, placement)

    (x, y), (width, height) = placement.offset, placement.source
    columns, rows = (_target_matrix(placement, axis, generated.shape[2 - axis], resampling) for axis in (0, 1))
    share = torch.minimum(_source_share(placement, 1, feather)[:, None], _source_share(placement, 0, feather)[None, :])
    share = share.unsqueeze(-1).to(source)

    if colour_match == "linear":
        gain, offset = _fit_colours(*_along_the_seam(generated, source, placement))
    result = source.new_zeros(len(source), placement.target[1], placement.target[0], 3)
    for part in chunks(len(source), *placement.target):
        frames = generated[part].to(source.device).float()
        if colour_match == "linear":
            frames = frames * gain[part] + offset[part]
        result[part, y : y + height, x : x + width] = source[part]
        for high, wide in _bands(placement, feather):
            picture = resample(frames, rows[high], columns[wide]).clamp_(0, 1).to(source.dtype)
            if feather:
                own, kept = result[part, high, wide], share[high, wide]
                # Where all is kept the source is copied, not computed: its bits stay, whatever was generated.
                picture = torch.where(kept == 1, own, torch.lerp(picture, own, kept))
            result[part, high, wide] = picture
    return result


def _target_matrix(placement: Placement, axis: int, size: int, kernel: str) -> Tensor:
    """Reads a generated axis of `size` pixels at every target pixel, such that the source's rectangle on the canvas
    falls exactly on the source's rectangle in the target."""
    start, length = placement.canvas_source[axis], placement.canvas_source[axis + 2]
    factor = size / placement.canvas[axis]
    step = factor * length / placement.source[axis]
    first = factor * start + (0.5 - placement.offset[axis]) * step - 0.5
    return resampling_matrix(first, step, placement.target[axis], size, kernel)


def _source_share(placement: Placement, axis: int, feather: int) -> Tensor:
    """The source's share of each target pixel of an axis: 0 on the border, 1 from `feather` pixels inwards."""
    size, before, after = placement.source[axis], placement.border[axis], placement.border[axis + 2]
    share = torch.ones(size, dtype=torch.float64)
    ramp = (torch.arange(size, dtype=torch.float64) + 1) / max(feather, 1)
    for border, distance in ((before, ramp), (after, ramp.flip(0))):
        if border:
            distance = distance.clamp(max=1)
            share = torch.minimum(share, distance * distance * (3 - 2 * distance))
    return torch.cat([torch.zeros(before), share, torch.zeros(after)]).float()


def _bands(placement: Placement, feather: int) -> Iterator[tuple[slice, slice]]:
    """Up to four rectangles (rows, columns) that hold all of the border and the feather, and share no pixel."""
    left, top, right, bottom = (edge + feather if edge else 0 for edge in placement.border)
    width, height = placement.target
    upper, lower = min(top, height), max(height - bottom, min(top, height))
    near, far = min(left, width), max(width - right, min(left, width))
    for high, wide in (
        (slice(0, upper), slice(0, width)),
        (slice(lower, height), slice(0, width)),
        (slice(upper, lower), slice(0, near)),
        (slice(upper, lower), slice(far, width)),
    ):
        if high.start < high.stop and wide.start < wide.stop:
            yield high, wide


def _along_the_seam(generated: Tensor, source: Tensor, placement: Placement) -> tuple[Tensor, Tensor]:
    """The same known pixels near the border as generated and as they are, (n, pixels, 3) each, at the canvas's size."""
    x, y, width, height = placement.canvas_source
    matrices = []
    for axis, (start, length) in enumerate(((x, width), (y, height))):
        size = generated.shape[2 - axis]
        factor = size / placement.canvas[axis]
        matrices.append(resampling_matrix(factor * (start + 0.5) - 0.5, factor, length, size, "bilinear"))
    near = _seam(placement)
    made, true = [], []
    for part in chunks(len(source), *placement.target):
        frames = generated[part].to(source.device).float()
        made.append(resample(frames, matrices[1], matrices[0])[:, near])
        true.append(resize(source[part].float(), (width, height))[:, near])
    return torch.cat(made), torch.cat(true)


def _fit_colours(made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset, (n, 1, 1, 3) each, that bring pixels `made` closest to `true`, both (n, pixels, 3).

    Least squares in which pixels far off count ever less (Geman and McClure's weights). A flat picture, which says
    nothing of contrast, keeps a gain near 1.
    """
    weight = torch.ones_like(made)
    for _ in range(FIT_ROUNDS):
        total = weight.sum(1, keepdim=True)
        made_mean = (weight * made).sum(1, keepdim=True) / total
        true_mean = (weight * true).sum(1, keepdim=True) / total
        spread = (weight * (made - made_mean) ** 2).sum(1, keepdim=True) / total
        shared = (weight * (made - made_mean) * (true - true_mean)).sum(1, keepdim=True) / total
        gain = ((shared + FLAT) / (spread + FLAT)).clamp(*GAIN_LIMITS)
        shift = (true_mean - made_mean).clamp(-SHIFT_LIMIT, SHIFT_LIMIT)
        offset = made_mean + shift - gain * made_mean
        error = (made * gain + offset - true).abs()
        usual = 2 * error.median(1, keepdim=True).values.clamp(min=1 / 255)
        weight = (1 + (error / usual) ** 2) ** -2
    return gain.unsqueeze(1), offset.unsqueeze(1)


def _seam(placement: Placement) -> Tensor:
    """(height, width), bool, of the source on the canvas: True within an eighth of its side of generated border."""
    _, _, width, height = placement.canvas_source
    left, top, right, bottom = placement.border
    near = torch.zeros(height, width, dtype=torch.bool)
    wide, high = max(width // 8, min(width, 4)), max(height // 8, min(height, 4))
    near[:, :wide] |= left > 0
    near[:, width - wide :] |= right > 0
    near[:high] |= top > 0
    near[height - high :] |= bottom > 0
    return near


def _checked_source(source: Tensor, placement: Placement) -> Tensor:
    source = drop_alpha(source)
    width, height = placement.source
    if tuple(source.shape[1:3]) != (height, width):
        raise ValueError(
            f"Got source frames of {source.shape[2]}x{source.shape[1]}. Expected {width}x{height}, the frames that the "
            "placement was made for: connect the frames of the Edge Mask."
        )
    if len(source) not in (placement.frames, placement.source_frames):
        raise ValueError(
            f"Got {len(source)} source frames. Expected {placement.frames}, or all {placement.source_frames} of the "
            "video: connect the frames of the Edge Mask."
        )
    return source[: placement.frames]


def _checked_generated(generated: Tensor, placement: Placement) -> Tensor:
    generated = drop_alpha(generated)
    if len(generated) != placement.frames:
        raise ValueError(
            f"Got {len(generated)} generated frames. Expected {placement.frames}: decode the latent of all frames."
        )
    height, width = generated.shape[1:3]
    canvas_width, canvas_height = placement.canvas
    # An upscaler rounds each side for itself, so up to a pixel may be amiss.
    if abs(width * canvas_height - height * canvas_width) >= max(canvas_width, canvas_height):
        raise ValueError(
            f"Got generated frames of {width}x{height}. Expected the whole canvas, {canvas_width}x{canvas_height}, or "
            "that scaled by one factor on both sides: do not crop it before it comes here."
        )
    return generated
