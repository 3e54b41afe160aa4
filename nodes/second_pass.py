"""A first result -> the larger canvas of a second pass."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..m3ddm_core.canvas.build import make_start_canvas
from ..m3ddm_core.canvas.limits import MOST_CANVAS
from ..m3ddm_core.canvas.placement import CANVAS_SHAPES, LATENT_SCALE
from .host.placed_video import PlacedVideo
from .host.progress import frames_bar
from .host.sockets import CATEGORY, PlacementSocket


class SecondPass(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_SecondPass",
            display_name="M3DDM Second Pass",
            category=CATEGORY,
            description="Puts a finished video on a larger canvas, with the source's own pixels over it. There it is "
            "sampled once more, with a denoise below 1, for finer detail.",
            search_aliases=["second pass", "hires fix", "sharper", "refine", "upscale outpaint", "larger canvas"],
            inputs=[
                io.Image.Input(
                    "source", tooltip="The source frames at full size: the frames output of M3DDM Edge Mask."
                ),
                io.Image.Input(
                    "generated",
                    tooltip="Finished frames to start from, in the target's shape and of any size: those of the first "
                    "M3DDM Composite, after an upscaler if you like.",
                ),
                PlacementSocket.Input("placement", tooltip="From the M3DDM Edge Mask of the first pass."),
                io.Int.Input(
                    "canvas_size",
                    default=512,
                    min=64,
                    max=MOST_CANVAS,
                    step=LATENT_SCALE,
                    tooltip="Longest side of the new canvas in pixels, a multiple of 8. Take about twice that of the "
                    "first pass; twice the size is four times the work or more. Never larger than the target.",
                ),
                io.Combo.Input(
                    "canvas_shape",
                    options=list(CANVAS_SHAPES),
                    default="target",
                    tooltip="target: the canvas has the target's shape. square: the target is centred in a square, as "
                    "the network was trained; slower.",
                ),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip="The source_mask of M3DDM Edge Mask. What it covers is generated again, starting from the "
                    "first result.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="canvas", tooltip="Frames at canvas size, for M3DDM Encode Context."),
                io.Mask.Output(display_name="mask", tooltip="1 where the picture is to be generated, 0 on the source."),
                PlacementSocket.Output(
                    display_name="placement",
                    tooltip="Where everything lies on the new canvas: for the second M3DDM Encode Context and the "
                    "second M3DDM Composite.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        source: torch.Tensor,
        generated: torch.Tensor,
        placement: PlacedVideo,
        canvas_size: int,
        canvas_shape: str,
        source_mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        video = placement.on_canvas(canvas_size, canvas_shape)
        source, source_mask = video.used(source), video.used_masks(source_mask)
        canvas, mask = make_start_canvas(
            source, generated, video.placement, source_mask, fill=video.fill, on_frames=frames_bar(video.frames)
        )
        return io.NodeOutput(canvas, mask, video)
