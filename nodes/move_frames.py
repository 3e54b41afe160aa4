"""Frames and a path -> frames that move within a larger one, and a mask of the rest."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..m3ddm_core.canvas.limits import MOST_SIDE
from ..m3ddm_core.canvas.motion_path import corners, parse_path
from ..m3ddm_core.canvas.move import move_frames
from .host.sockets import CATEGORY


class MoveFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_MoveFrames",
            display_name="M3DDM Move Frames",
            category=CATEGORY,
            description="Moves the frames along a path inside a larger frame that stands still. The mask covers what "
            "the frames leave empty, and through M3DDM Edge Mask the network fills it in.",
            search_aliases=["animated placement", "stabilise", "stabilize", "path", "pan", "moving canvas", "tracking"],
            inputs=[
                io.Image.Input("images", tooltip="The frames, in order."),
                io.String.Input(
                    "path",
                    default="0: 0, 0",
                    multiline=True,
                    tooltip="Where the frames' top-left corner lies, as frame: x, y in pixels. Separate the entries "
                    "by semicolons or line breaks: '0: 0, 0; 48: 120, -10'. Between two of them the corner moves in a "
                    "straight line, in whole pixels. Negative frame numbers count from the end.",
                ),
                *(
                    io.Int.Input(
                        name,
                        default=0,
                        min=0,
                        max=MOST_SIDE,
                        tooltip=f"{name.capitalize()} of the larger frame in pixels; what leaves it is cropped. 0: the "
                        f"smallest {name} that holds the frames along their whole path.",
                    )
                    for name in ("width", "height")
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="1 where the frames themselves are empty, such as the black edges of stabilised footage. "
                    "The mask moves with them.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images",
                    tooltip="The larger frames, black where they are empty. Goes to images of M3DDM Edge Mask.",
                ),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="1 where a frame is empty; one mask for each frame. Goes to source_mask of M3DDM Edge "
                    "Mask, M3DDM Encode Global Frames and M3DDM Composite.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, images: torch.Tensor, path: str, width: int, height: int, mask: torch.Tensor | None = None
    ) -> io.NodeOutput:
        where = corners(parse_path(path, len(images)), len(images))
        return io.NodeOutput(*move_frames(images, where, (width, height), mask))
