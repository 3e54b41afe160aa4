"""Source and generated frames -> finished frames at full size."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..m3ddm_core.composite.layers import composite_layers, provenance
from ..m3ddm_core.frames import OF_THE_VAE, require_finite
from ..m3ddm_core.seen.recipe import Seen
from .host.inputs import composite_inputs
from .host.placed_video import PlacedVideo
from .host.progress import frame_progress, frames_bar
from .host.sockets import CATEGORY, PlacementSocket, SeenSocket


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
                *composite_inputs(advanced=False),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip="The source_mask of M3DDM Edge Mask. Where it is 1, the generated picture replaces the "
                    "source. One mask for all frames, or one for each.",
                ),
                SeenSocket.Input(
                    "seen",
                    optional=True,
                    tooltip="From M3DDM Seen Pixels. What other frames have filmed of the border is laid over what was "
                    "generated, at the source's full size, and the source does not fade where it meets that. Not "
                    "together with source_mask.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The finished frames at the size that was asked for."),
                io.Mask.Output(
                    display_name="provenance",
                    tooltip="Where each pixel comes from: 0 the source, 0.5 another frame, 1 generated. One mask for "
                    "all frames where nothing differs between them, otherwise one for each.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        source: torch.Tensor,
        generated: torch.Tensor,
        placement: PlacedVideo,
        source_mask: torch.Tensor | None = None,
        seen: Seen | None = None,
        **blending: Any,
    ) -> io.NodeOutput:
        require_finite(generated, 0, "in the generated frames", OF_THE_VAE)
        source, source_mask, where = placement.used(source), placement.used_masks(source_mask), placement.placement
        heard = {"source_mask": source_mask, "on_frames": frames_bar(len(source))}
        with frame_progress("laying over", len(source)) as (on_laid, text):
            images, laid = composite_layers(source, generated, where, seen, on_laid=on_laid, **heard, **blending)
            if laid is not None:
                text.end(f"what other frames have filmed is laid over {len(source)} frames")
        return io.NodeOutput(images, provenance(where, len(source), source_mask, laid))
