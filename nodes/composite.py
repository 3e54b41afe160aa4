"""Source and generated frames -> finished frames at full size."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..m3ddm_core.composite.compositor import composite
from ..m3ddm_core.frames import OF_THE_VAE, require_finite
from .host.inputs import composite_inputs
from .host.placed_video import PlacedVideo
from .host.progress import frames_bar
from .host.sockets import CATEGORY, PlacementSocket


class Composite(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_Composite",
            display_name="M3DDM Composite",
            category=CATEGORY,
            description="Scales the generated frames to the target's full size and puts the source's own pixels back.",
            search_aliases=["outpaint composite", "stitch", "paste back", "blend seam", "feather", "uncrop"],
            inputs=[
                io.Image.Input(
                    "source", tooltip="The source frames at full size: the frames output of M3DDM Edge Mask."
                ),
                io.Image.Input(
                    "generated",
                    tooltip="The decoded canvas frames: M3DDM Sample Infill's latent after VAE Decode, and after an "
                    "upscaler if you like.",
                ),
                PlacementSocket.Input("placement", tooltip="From the M3DDM Edge Mask that made the canvas."),
                *composite_inputs(),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip="The source_mask of M3DDM Edge Mask. Where it is 1, the generated picture replaces the "
                    "source. One mask for all frames, or one for each.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The finished frames at the size that was asked for."),
            ],
        )

    @classmethod
    def execute(
        cls,
        source: torch.Tensor,
        generated: torch.Tensor,
        placement: PlacedVideo,
        source_mask: torch.Tensor | None = None,
        **blending: Any,
    ) -> io.NodeOutput:
        require_finite(generated, 0, "in the generated frames", OF_THE_VAE)
        source, source_mask = placement.used(source), placement.used_masks(source_mask)
        heard = {"source_mask": source_mask, "on_frames": frames_bar(placement.frames)}
        return io.NodeOutput(composite(source, generated, placement.placement, **heard, **blending))
