"""Source frames -> the border's pixels that other frames of the video have filmed."""

from __future__ import annotations

import time

import torch
from comfy_api.latest import io, ui

from ..m3ddm_core.canvas.build import make_canvas
from ..m3ddm_core.frames import drop_alpha
from ..m3ddm_core.outpaint.time_left import spoken
from ..m3ddm_core.seen.look import look_around
from ..m3ddm_core.seen.recipe import CONFIDENT, refuse_mask
from ..m3ddm_core.video.cuts import find_cuts, thumbnails_of
from ..m3ddm_core.video.seen import show_frames
from .host.inputs import cut_inputs
from .host.placed_video import PlacedVideo
from .host.preview import canvas_preview
from .host.progress import frame_progress
from .host.sockets import CATEGORY, PlacementSocket, SeenSocket


class SeenPixels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_SeenPixels",
            display_name="M3DDM Seen Pixels",
            category=CATEGORY,
            description="Where the camera moves, much of what lies beyond a frame's border is in other frames. This "
            "follows the camera and finds those pixels; what is not certain is left alone.",
            search_aliases=["moving camera", "seen first", "reproject", "temporal fill", "stabilise", "camera motion"],
            inputs=[
                io.Image.Input(
                    "images", tooltip="The source frames at full size: the frames output of M3DDM Edge Mask."
                ),
                PlacementSocket.Input(
                    "placement", tooltip="From the M3DDM Edge Mask that these frames come from, without a source_mask."
                ),
                *cut_inputs(
                    "Finds the cuts, and looks for a frame's pixels in its own scene alone. Off treats the video as "
                    "one scene."
                ),
            ],
            outputs=[
                SeenSocket.Output(
                    display_name="seen",
                    tooltip="Where to find each pixel, and how certain it is: goes to seen of M3DDM Composite, which "
                    "lays the pixels over the result at the source's full size.",
                ),
                io.Image.Output(
                    display_name="canvas",
                    tooltip="The canvas of M3DDM Edge Mask with these pixels in it, and the fill going on from them. "
                    "Goes to M3DDM Encode Context in place of Edge Mask's, so that sampling begins from them.",
                ),
                io.Mask.Output(
                    display_name="confidence",
                    tooltip="How certain each pixel is, 0 to 1, one mask for each frame of the canvas; 0 on the source "
                    "and where nothing was found. What has 0.5 or more is laid over the result; sampling starts from "
                    "what has 0.1 or more.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="How much of the border was found, scene by scene, or why nothing was. Preview as Text "
                    "shows it.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, images: torch.Tensor, placement: PlacedVideo, scene_cuts: bool, cut_threshold: float
    ) -> io.NodeOutput:
        refuse_mask(placement.masked)
        where, begun = placement.placement, time.monotonic()
        frames = placement.used(drop_alpha(images))
        cuts = find_cuts(thumbnails_of(frames), cut_threshold) if scene_cuts else []
        with frame_progress("looking around,", len(frames)) as (looked, text):
            seen = look_around(frames, where, cuts, on_frame=looked)
            shown = show_frames(seen, frames)
            canvas, mask = make_canvas(frames, where, fill=placement.fill, shown=shown)
            text.end(f"{seen.share:.0%} of the border seen elsewhere, {spoken(time.monotonic() - begun)}")
        confidence, middle = seen.confidence_on_canvas(), len(frames) // 2
        unseen = mask[0] * (confidence[middle] < CONFIDENT)
        preview = ui.PreviewImage(canvas_preview(canvas[middle], unseen, where), cls=cls)
        return io.NodeOutput(seen, canvas, confidence, seen.report(), ui=preview)
