"""Frames -> global frames."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..m3ddm_core.canvas.source_mask import mask_for_frames
from ..m3ddm_core.outpaint.encode import encode_global_frames
from .host.progress import telling
from .host.sockets import CATEGORY, GlobalFramesSocket
from .host.vae import encoder, recalling


class EncodeGlobalFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_EncodeGlobalFrames",
            display_name="M3DDM Encode Global Frames",
            category=CATEGORY,
            description="Encodes frames spread evenly over the whole video. From them the network knows what the "
            "video shows before and after the 16 frames that it works on.",
            search_aliases=["global frames", "video context", "global video", "outpaint global"],
            inputs=[
                io.Image.Input(
                    "frames",
                    tooltip="The whole source frames, at any size; preferably the frames output of M3DDM Edge Mask.",
                ),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x, the same as everywhere in the graph."),
                io.Int.Input(
                    "count",
                    default=16,
                    min=1,
                    max=64,
                    tooltip="How many frames are taken, evenly from first to last. The network was trained with 16.",
                ),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip="The source_mask of M3DDM Edge Mask. What it covers is filled in, so that the network "
                    "does not see what it is to replace.",
                ),
            ],
            outputs=[
                GlobalFramesSocket.Output(
                    display_name="global_frames", tooltip="The encoded frames, for M3DDM Encode Context."
                )
            ],
        )

    @classmethod
    def execute(
        cls, frames: torch.Tensor, vae: Any, count: int, source_mask: torch.Tensor | None = None
    ) -> io.NodeOutput:
        # Every change of M3DDM Edge Mask runs this anew, though most leave the frames as they were.
        encode = telling(recalling(vae, encoder(vae)), count)
        mask = mask_for_frames(source_mask, frames)
        return io.NodeOutput(encode_global_frames(frames, encode, count, mask))
