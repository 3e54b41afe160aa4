"""The last layer of a finished frame: what other frames have filmed of its border, over what was generated."""

from __future__ import annotations

import torch
from torch import Tensor

from ..canvas.placement import Placement
from .patch import kept_share


def lay_over(
    finished: Tensor, source: Tensor, pixels: Tensor, known: Tensor, placement: Placement, feather: int
) -> Tensor:
    """A finished frame (H, W, 3) with the true ``pixels`` (H, W, 3) where they are ``known``, (H, W), bool.

    source: the frame itself, (h, w, 3), as it lies in the finished one. feather: over so many pixels what is known,
        source and pixels together, fades into what was generated; so next to known pixels the source does not fade.

    Where nothing is known nearby the finished frame's bits stay. Returns (H, W, 3) of its dtype.
    """
    if not known.any():
        return finished
    (x, y), (width, height) = placement.offset, placement.source
    own = (slice(y, y + height), slice(x, x + width))
    real, picture, faded = known.clone(), pixels.to(finished), torch.zeros_like(known)
    real[own], faded[own] = True, True
    picture = picture.clone()
    picture[own] = source.to(finished)
    wanted, had = kept_share(~torch.stack([real, faded]), feather)
    # The source has been faded into the frame already: only what is missing is added.
    share = torch.where(had < 1, (wanted - had) / (1 - had).clamp(min=1e-6), 0.0).clamp(0, 1)[..., None].to(finished)
    return torch.where(share > 0, torch.lerp(finished, picture, share), finished)
