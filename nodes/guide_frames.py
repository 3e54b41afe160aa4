"""The user's own frames -> known frames of the state."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..m3ddm_core.outpaint.encode import add_guide_frames
from ..m3ddm_core.outpaint.state import OutpaintState
from .host.progress import telling
from .host.sockets import CATEGORY, State
from .host.vae import encoder


class GuideFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_GuideFrames",
            display_name="M3DDM Guide Frames",
            category=CATEGORY,
            description="Gives whole frames of your own, made with any image model, at chosen frame numbers. The video "
            "follows them: from a first frame forwards, from a last one backwards, or between several.",
            search_aliases=["guide frames", "first frame", "last frame", "keyframes", "reference frame", "infill"],
            inputs=[
                State.Input("state", tooltip="From M3DDM Encode Context."),
                io.Image.Input(
                    "images",
                    tooltip="Whole finished frames in the target's shape, of any size: as many as there are frame "
                    "numbers, in the same order.",
                ),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x, the same as everywhere in the graph."),
                io.String.Input(
                    "frame_numbers",
                    default="0",
                    tooltip="Which frames the images are, counted from 0: '0' is the first, '0,-1' first and last, "
                    "'0,30,60' three of them. Negative numbers count from the end.",
                ),
            ],
            outputs=[State.Output(display_name="state", tooltip="The state in which these frames are known.")],
        )

    @classmethod
    def execute(cls, state: OutpaintState, images: torch.Tensor, vae: Any, frame_numbers: str) -> io.NodeOutput:
        return io.NodeOutput(add_guide_frames(state, images, frame_numbers, telling(encoder(vae), len(images))))
