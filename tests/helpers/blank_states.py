"""Videos of seeded noise on a tiny canvas, its right half to be made, of which nothing is known."""

from __future__ import annotations

import dataclasses

import torch

from m3ddm_core.outpaint.state import OutpaintState


def make_state(frames, **changes):
    draw = torch.Generator().manual_seed(frames)
    masks = torch.zeros(frames, 1, 2, 2)
    masks[..., 1] = 1
    start = torch.randn((frames, 4, 2, 2), generator=draw)
    state = OutpaintState(
        start=start,
        masked=torch.randn((frames, 4, 2, 2), generator=draw),
        masks=masks,
        blank=torch.full((1, 4, 2, 2), -1.0),
        latents=start,
        global_latents=torch.randn((16, 4, 2, 2), generator=draw),
        fps=25.0,
        known=frozenset(),
        guides=frozenset(),
        placement=None,
    )
    return dataclasses.replace(state, **changes)
