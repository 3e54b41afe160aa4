"""Generated picture in place of the source under a matte: how far it reaches, and how it meets the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

MARGIN = 16
"""How many of the source's pixels around the patch are looked at."""

Correct = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Generated pictures and source frames (n, h, w, 3), and the share of each source pixel that is kept (1 or n, h, w), to
the pictures as they shall stand in the source: a blend's `patch`."""


def patches(matte: Tensor, feather: int) -> Iterator[tuple[slice, tuple[slice, slice]]]:
    """The frames and the rectangle (rows, columns) that each patch of a matte (m, h, w), bool, needs to know of.

    A matte that serves all frames gives patches for all; of others each frame has its own, or none. A rectangle depends
    on its own frame alone, so that it does not matter how a video was cut. What lies far apart, such as black bars
    above and below, is in rectangles that share no pixel.
    """
    reach = feather + MARGIN
    for number, frame in enumerate(matte):
        which = slice(None) if len(matte) == 1 else slice(number, number + 1)
        for high in _spans(frame.any(1), reach):
            for wide in _spans(frame[high].any(0), reach):
                yield which, (high, wide)


def patch(source: Tensor, made: Tensor, matte: Tensor, feather: int, correct: Correct) -> Tensor:
    """Source frames in which the generated picture stands under the matte.

    source, made: (n, h, w, 3), float. matte: (1 or n, h, w), bool.
    feather: over so many pixels around the matte the source fades into the generated picture. Pixels ``feather`` or
        more away from it are bit-equal to the source.
    correct: what is done to the generated picture before.

    Returns (n, h, w, 3) of the source's dtype, what was generated clamped to 0..1.
    """
    kept = kept_share(matte, feather)
    made = correct(made, source, kept).clamp(0, 1).to(source.dtype)
    kept = kept[..., None].to(source)
    # Where all is kept the source is copied, not computed: its bits stay, whatever was generated.
    return torch.where(kept == 1, source, torch.lerp(made, source, kept))


def kept_share(matte: Tensor, feather: int) -> Tensor:
    """The share of each pixel that is kept, (m, h, w), float32: 0 under the matte, 1 from ``feather`` pixels away."""
    distance = _distance(matte, max(feather, 1)) / max(feather, 1)
    return distance * distance * (3 - 2 * distance)


def _spans(found: Tensor, reach: int) -> Iterator[slice]:
    """The runs of what is ``found``, (size,), bool, with ``reach`` before and after; those that would meet are one."""
    places = found.nonzero().flatten().tolist()
    gaps = [(place, following) for place, following in pairwise(places) if following - place > 2 * reach]
    starts = places[:1] + [following for _, following in gaps]
    ends = [place for place, _ in gaps] + places[-1:]
    for start, end in zip(starts, ends, strict=True):
        yield slice(max(start - reach, 0), min(end + 1 + reach, len(found)))


def _distance(matte: Tensor, most: int) -> Tensor:
    """How far each pixel's centre is from the nearest one under the matte, up to ``most``: (m, h, w), float32."""
    column = torch.arange(matte.shape[2], dtype=torch.float32, device=matte.device).expand(matte.shape)
    before = torch.where(matte, column, -torch.inf).cummax(-1).values
    after = torch.where(matte, column, torch.inf).flip(-1).cummin(-1).values.flip(-1)
    along = torch.minimum(column - before, after - column).clamp(max=most).square()
    nearest = along.clone()
    for step in range(1, min(most, matte.shape[1])):
        torch.minimum(nearest[:, step:], along[:, :-step] + step**2, out=nearest[:, step:])
        torch.minimum(nearest[:, :-step], along[:, step:] + step**2, out=nearest[:, :-step])
    return nearest.sqrt().clamp(max=most)
