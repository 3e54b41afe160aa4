"""What comes out of nodes that sample: the state, and latents and masks to look at it."""

from __future__ import annotations

import comfy.latent_formats
from comfy_api.latest import io
from einops import rearrange, repeat

from ...m3ddm_core.canvas.placement import LATENT_SCALE
from ...m3ddm_core.outpaint.state import OutpaintState
from .sockets import State


def state_outputs(state_tooltip: str) -> list[io.Output]:
    """The outputs that `state_output` fills."""
    return [
        State.Output(display_name="state", tooltip=state_tooltip),
        io.Latent.Output(
            display_name="latent",
            tooltip="Latents of all frames: generated where known, the filled canvas elsewhere. VAE Decode shows "
            "them at every level.",
        ),
        io.Mask.Output(
            display_name="unknown", tooltip="Canvas masks of all frames, 0 on every frame that is known by now."
        ),
    ]


def state_output(state: OutpaintState) -> io.NodeOutput:
    """State, raw latents (n, 4, h, w) and canvas masks (n, H, W)."""
    masks = repeat(
        rearrange(state.unknown_masks, "n 1 h w -> n h w"), "n h w -> n (h y) (w x)", y=LATENT_SCALE, x=LATENT_SCALE
    )
    return io.NodeOutput(state, {"samples": comfy.latent_formats.SD15().process_out(state.latents)}, masks)
