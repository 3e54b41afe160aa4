"""Finished frames in layers: generated, filmed in other frames, the source; and what of a frame is which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..canvas.placement import Placement
from ..canvas.source_mask import read_matte
from ..frames import drop_alpha
from ..seen.recipe import Seen, refuse_mask
from .compositor import FEATHER, composite
from .seen_layer import lay_over

FROM_SOURCE, FROM_OTHER_FRAMES, GENERATED = 0.0, 0.5, 1.0
"""The values of a `provenance`; its ends are those of a canvas's mask."""


def composite_layers(
    source: Tensor,
    generated: Tensor,
    placement: Placement,
    seen: Seen | None = None,
    *,
    source_mask: Tensor | None = None,
    feather: int = FEATHER,
    on_laid: Callable[[int], None] = lambda done: None,
    **blending: Any,
) -> tuple[Tensor, Tensor | None]:
    """Composite all frames of a video, and lay over them what other frames have filmed, at the source's full size.

    seen: found in the same frames, in the same target; its canvas may be another. ``on_laid(done)`` hears of each
        frame that it is laid over. The rest is as `composite` has it.

    Returns the frames (n, H, W, 3), and where something was laid over them, (n, H, W), bool, or None if nowhere. Raises
    what `composite` raises, and ValueError for what is seen of another video, and beside a source mask.
    """
    images = composite(source, generated, placement, source_mask=source_mask, feather=feather, **blending)
    if seen is None:
        return images, None
    refuse_mask(source_mask is not None)
    _require_same(seen, placement, len(source))
    if not seen.share:
        return images, None
    frames = drop_alpha(source)
    laid = torch.zeros(images.shape[:3], dtype=torch.bool)
    for number, own in enumerate(frames):
        found = seen.on_target(number, frames.__getitem__)
        laid[number] = found.known
        # Nobody else holds these frames yet: they are not copied.
        images[number] = lay_over(images[number], own, found.pixels, found.known, placement, feather)
        on_laid(number + 1)
    return images, laid


def provenance(
    placement: Placement, frames: int, source_mask: Tensor | None = None, laid: Tensor | None = None
) -> Tensor:
    """Where the pixels of finished frames come from: 0 the source, 0.5 another frame, 1 generated; soft edges left out.

    source_mask: as in `composite`. laid: as `composite_layers` returns it.

    Returns (1 or frames, H, W), float32: one for all frames where nothing differs between them. Raises ValueError for a
    mask of another size or number.
    """
    (x, y), (width, height) = placement.offset, placement.source
    rows, columns = slice(y, y + height), slice(x, x + width)
    matte = read_matte(source_mask, placement.source, frames)
    origin = torch.full((1 if matte is None else len(matte), *placement.target[::-1]), GENERATED)
    origin[:, rows, columns] = FROM_SOURCE if matte is None else matte.float().cpu()
    return origin if laid is None else torch.where(laid, FROM_OTHER_FRAMES, origin)


def _require_same(seen: Seen, placement: Placement, frames: int) -> None:
    """Raise ValueError unless what is seen is of so many frames, in the same place of the same target."""
    found, wanted = (
        (count, where.source, where.target, where.offset)
        for count, where in ((len(seen), seen.placement), (frames, placement))
    )
    if found != wanted:
        got, expected = (
            f"{count} frames of {size[0]}x{size[1]} in a target of {target[0]}x{target[1]} at {offset[0]}, {offset[1]}"
            for count, size, target, offset in (found, wanted)
        )
        raise ValueError(
            f"got seen pixels of {got}, expected {expected}: look around in the frames that are composited"
        )
