"""Source and generated frames -> finished frames at full size."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..m3ddm_core.composite import COLOUR_MATCHES, composite
from ..m3ddm_core.geometry import Placement
from ..m3ddm_core.resample import KERNELS
from .types import CATEGORY, PlacementSocket


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
                    tooltip="The decoded canvas frames: M3DDM Sample Infill's latent through VAE Decode, "
                    "and an upscaler if you like.",
                ),
                PlacementSocket.Input("placement", tooltip="From the M3DDM Edge Mask that made the canvas."),
                io.Int.Input(
                    "feather",
                    default=8,
                    min=0,
                    max=512,
                    tooltip="Width of the soft edge inside the source, in pixels of the finished picture. "
                    "0 keeps every source pixel and leaves a hard edge.",
                ),
                io.Combo.Input(
                    "colour_match",
                    options=list(COLOUR_MATCHES),
                    default="none",
                    tooltip="linear moves the generated border's colours to those of the source, channel by channel; "
                    "it helps against a tint.",
                ),
                io.Combo.Input(
                    "resampling",
                    options=list(KERNELS),
                    default="lanczos",
                    tooltip="Filter used to scale the generated frames up.",
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
        placement: Placement,
        feather: int,
        colour_match: str,
        resampling: str,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            composite(
                source,
                generated,
                placement,
                feather=feather,
                colour_match=colour_match,
                resampling=resampling,
            )
        )
