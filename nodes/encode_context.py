"""Canvas, mask and global frames -> state."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..m3ddm_core.outpaint.encode import GlobalFrames, encode_context
from .host.placed_video import PlacedVideo
from .host.progress import telling
from .host.sockets import CATEGORY, GlobalFramesSocket, PlacementSocket, State
from .host.vae import warning_encoder


class EncodeContext(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_EncodeContext",
            display_name="M3DDM Encode Context",
            category=CATEGORY,
            description="Encodes canvas and mask into the state that the sampler nodes work on: what is known of every "
            "frame, and what is to be generated.",
            search_aliases=["outpaint context", "encode video for outpainting", "masked video latents", "vae encode"],
            inputs=[
                io.Image.Input(
                    "canvas", tooltip="The filled canvas frames of M3DDM Edge Mask, or a canvas of your own."
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="1 where the picture is to be generated. One mask for all frames, or one for each; a frame "
                    "whose mask is 0 everywhere is known.",
                ),
                GlobalFramesSocket.Input(
                    "global_frames", tooltip="From M3DDM Encode Global Frames, over the same source frames."
                ),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x, the same as everywhere in the graph."),
                io.Float.Input(
                    "fps",
                    default=25.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second of the source; connect the fps output of Get Video Components. The "
                    "network reads from it how fast things move.",
                ),
                PlacementSocket.Input(
                    "placement",
                    optional=True,
                    tooltip="From the M3DDM Edge Mask that made the canvas. M3DDM Guide Frames needs it to put your "
                    "frames in the right place.",
                ),
            ],
            outputs=[
                State.Output(display_name="state", tooltip="What is known of the video so far, for the sampler nodes.")
            ],
        )

    @classmethod
    def execute(
        cls,
        canvas: torch.Tensor,
        mask: torch.Tensor,
        global_frames: GlobalFrames,
        vae: Any,
        fps: float,
        placement: PlacedVideo | None = None,
    ) -> io.NodeOutput:
        # Each frame twice, as it is and without what is to be generated, and one that is black.
        encode = telling(warning_encoder(vae), 2 * len(canvas) + 1)
        encoded = (canvas, mask, global_frames, encode, fps)
        if placement is None:
            return io.NodeOutput(encode_context(*encoded, None))
        placement.require_canvas(canvas)
        return io.NodeOutput(encode_context(*encoded, placement.placement, placement.fill))
