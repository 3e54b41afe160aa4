"""Scene cuts, from pictures so small that a whole video's are held at once.

Two neighbouring frames differ by how badly the one fits the other at its best shift (so that a pan costs little), and
by how far their colours lie apart. A cut is a difference that stands out from those around it, and after which the
picture does not come back: within a fast pan all differences are large, and a flash goes as it came. Fades and
dissolves are no cuts. No scene is shorter than `SHORTEST` frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..frames import chunks

THUMBNAIL = (64, 36)
"""Width and height of the pictures that cuts are found in."""

CUT_THRESHOLD = 0.25
"""How much two frames must differ, beyond the frames around them, to count as a cut, unless told otherwise."""

SHORTEST = 8
"""Frames. What comes back within so many was a flash or something passing by."""

NEIGHBOURHOOD = 6
"""Frames on either side that a difference is held against."""

STANDS_OUT = 2.0
"""A cut differs by so many times what its surroundings differ by."""

COMES_BACK = 0.5
"""The picture has come back where it differs by less than this part of what the cut does."""

GRAIN = 1e-3
"""A variance of brightness that says nothing: noise and compression."""

COLOURS_APART = 0.15
"""Mean distance of the colours of two frames that counts as a full difference."""

BINS = 32


def find_cuts(thumbnails: Tensor, threshold: float) -> list[int]:
    """The numbers of the frames that begin a new scene; the first frame is not among them.

    thumbnails: (n, 36, 64, 3), uint8. threshold: 0 to 1, the least difference of a cut beyond that of its surroundings.
    Raises ValueError for a threshold outside 0..1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"got a scene cut threshold of {threshold}, expected 0 to 1; 0.25 suits most videos")
    n = len(thumbnails)
    if n < 2 * SHORTEST:
        return []
    light, colours = (torch.cat(parts) for parts in zip(*map(_features, thumbnails.split(512)), strict=True))

    def differences(first: Tensor, second: Tensor) -> Tensor:
        return torch.cat(
            [
                difference(light[a], light[b], colours[a], colours[b])
                for a, b in zip(first.split(512), second.split(512), strict=True)
            ]
        )

    every = torch.arange(1, n)
    steps = torch.cat([torch.zeros(1), differences(every - 1, every)])
    around = _surroundings(steps)
    candidates = ((steps >= threshold + around) & (steps >= STANDS_OUT * around)).nonzero().flatten()
    cuts: list[int] = []
    for cut in sorted(candidates.tolist(), key=lambda cut: -steps[cut].item()):
        if not SHORTEST <= cut <= n - SHORTEST or any(abs(cut - other) < SHORTEST for other in cuts):
            continue
        after = torch.arange(cut + 1, cut + SHORTEST)
        before = torch.arange(cut - SHORTEST, cut - 1)
        returns = torch.cat(
            [differences(torch.full_like(after, cut - 1), after), differences(torch.full_like(before, cut), before)]
        )
        if returns.min() >= COMES_BACK * steps[cut]:
            cuts.append(cut)
    return sorted(cuts)


def scene_lengths(frames: int, cuts: list[int]) -> list[int]:
    """How many frames each scene has."""
    ends = [*cuts, frames]
    return [end - start for start, end in zip([0, *cuts], ends, strict=True)]


def thumbnails_of(frames: Tensor) -> Tensor:
    """Frames (n, h, w, 3), float, 0..1, as pictures for `find_cuts`: (n, 36, 64, 3), uint8."""
    found = torch.zeros(len(frames), *THUMBNAIL[::-1], 3, dtype=torch.uint8)
    for some in chunks(len(frames), frames.shape[2], frames.shape[1]):
        small = F.adaptive_avg_pool2d(rearrange(frames[some].float(), "n h w c -> n c h w"), THUMBNAIL[::-1])
        found[some] = rearrange((small * 255).round().clamp(0, 255).to(torch.uint8), "n c h w -> n h w c").cpu()
    return found


def difference(light: Tensor, other_light: Tensor, colours: Tensor, other_colours: Tensor) -> Tensor:
    """How much pictures differ, (n,), 0 to 1: the larger of what shape and colours say.

    ``light`` (n, h, w): brightness less its mean. ``colours`` (n, 3, bins): cumulative histograms.
    """
    product = torch.fft.rfft2(light) * torch.fft.rfft2(other_light).conj()
    fit = torch.fft.irfft2(product, s=light.shape[-2:]).flatten(1).max(1).values / light[0].numel()
    spread = (light.square().mean((1, 2)) + other_light.square().mean((1, 2))) / 2
    shape = 1 - (fit + GRAIN) / (spread + GRAIN)
    apart = (colours - other_colours).abs().mean((1, 2)) / COLOURS_APART
    return torch.maximum(shape, apart).clamp(0, 1)


def _features(thumbnails: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness less its mean, (n, h, w), and the cumulative histogram of each channel, (n, 3, bins)."""
    pictures = thumbnails.float() / 255
    light = pictures.mean(-1)
    light = light - light.mean((1, 2), keepdim=True)
    bins = rearrange((pictures * (BINS - 1)).round().long(), "n h w c -> n c (h w)")
    counts = torch.zeros(*bins.shape[:2], BINS).scatter_add_(2, bins, torch.ones(bins.shape))
    return light, (counts / bins.shape[-1]).cumsum(2)


def _surroundings(steps: Tensor) -> Tensor:
    """What is usual around each step: the larger of its two neighbours, or the median of the neighbourhood."""
    padded = F.pad(steps[None, None], (NEIGHBOURHOOD, NEIGHBOURHOOD), mode="reflect")[0, 0]
    windows = padded.unfold(0, 2 * NEIGHBOURHOOD + 1, 1)
    others = torch.cat([windows[:, :NEIGHBOURHOOD], windows[:, NEIGHBOURHOOD + 1 :]], dim=1)
    beside = others[:, NEIGHBOURHOOD - 1 : NEIGHBOURHOOD + 1].max(1).values
    return torch.maximum(beside, others.median(1).values)
