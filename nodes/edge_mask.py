"""Source frames -> canvas, mask and placement."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..m3ddm_core.canvas.build import make_canvas
from ..m3ddm_core.canvas.limits import require_memory_to_hold
from ..m3ddm_core.frames import drop_alpha
from .host.inputs import (
    canvas_size_input,
    check_target,
    framing_of,
    placement_inputs,
    result_size_inputs,
    source_mask_input,
    warn_of_nothing,
)
from .host.placed_video import PlacedVideo
from .host.preview import canvas_preview
from .host.progress import frames_bar
from .host.sockets import CATEGORY, PlacementSocket


class EdgeMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_EdgeMask",
            display_name="M3DDM Edge Mask",
            category=CATEGORY,
            description="Places the source frames in a larger target and makes the canvas the network works on: "
            "filled border, mask, and a record of where everything lies.",
            search_aliases=["outpaint", "pad video", "extend frame", "aspect ratio", "uncrop"],
            # A page that is loaded again gets the source's size, though nothing has to be computed again.
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("images", tooltip="The source frames, in order. One frame is enough."),
                *placement_inputs(canvas_size_input()),
                source_mask_input(),
                *result_size_inputs(),
            ],
            outputs=[
                io.Image.Output(
                    display_name="canvas", tooltip="Frames at canvas size with the unknown border filled in."
                ),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="1 where the picture is to be generated, 0 on the source. One mask for all frames, or one "
                    "for each where source_mask changes.",
                ),
                PlacementSocket.Output(
                    display_name="placement",
                    tooltip="Where source, target and canvas lie; M3DDM Encode Context and M3DDM Composite need it.",
                ),
                io.Image.Output(
                    display_name="frames",
                    tooltip="The source frames that are used, at the size that they have in the result: all, or the "
                    "first ones.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, target: str | None = None, custom_ratio: str | None = None) -> bool | str:
        """A wrong ratio is reported before anything runs. A value that comes over a wire is None here."""
        return check_target(target, custom_ratio)

    @classmethod
    def execute(
        cls, images: torch.Tensor, first_frames: int, source_mask: torch.Tensor | None = None, **framing: Any
    ) -> io.NodeOutput:
        count, height, width = images.shape[:3]
        asked = framing_of(**framing)
        placement = asked.place((width, height))
        used, masked = min(first_frames or count, count), source_mask is not None
        video = PlacedVideo(placement, used, count, asked.fill, (width, height), masked)
        # M3DDM Composite will hold them all: that is to be told before anything is sampled.
        require_memory_to_hold(video.frames, placement.target)
        frames = video.used(drop_alpha(images), frames_bar(video.frames))
        masks, heard = video.used_masks(source_mask), frames_bar(video.frames)
        canvas, mask = make_canvas(frames, placement, masks, fill=video.fill, on_frames=heard)
        if not mask.any():
            warn_of_nothing("M3DDM Edge Mask", placement.source, masked)
        preview = canvas_preview(canvas[len(canvas) // 2], mask[len(mask) // 2], placement)
        # The drawing in the node (nodes/web) reads the size; before the first run it can only guess it from the file.
        shown = {**ui.PreviewImage(preview, cls=cls).as_dict(), "source_size": [width, height]}
        return io.NodeOutput(canvas, mask, video, frames, ui=shown)
