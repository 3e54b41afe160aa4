"""The picture under a node that makes a canvas: what is to be generated tinted, beside its mask."""

from __future__ import annotations

import torch

from ...m3ddm_core.canvas.placement import Placement

TINT = (0.9, 0.1, 0.6)
DIMMED = 0.4


def canvas_preview(canvas: torch.Tensor, mask: torch.Tensor, placement: Placement) -> torch.Tensor:
    """(1, ch, 2cw, 3): a canvas (ch, cw, 3) with what is to be generated tinted, beside its mask (ch, cw).

    What lies beyond the target, and is cropped in the end, is dimmed.
    """
    x, y, width, height = placement.canvas_target
    shade = torch.full_like(mask, DIMMED)
    shade[y : y + height, x : x + width] = 1
    mask, shade = mask.unsqueeze(-1), shade.unsqueeze(-1)
    tinted = torch.lerp(canvas, canvas.new_tensor(TINT), 0.2 * mask)
    return (torch.cat([tinted, mask.expand_as(canvas)], dim=1) * torch.cat([shade, shade], dim=1)).unsqueeze(0)
