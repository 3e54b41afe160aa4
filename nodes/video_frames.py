"""A video -> its frames as a player shows them, sound and rate: into the graph of single nodes."""

from __future__ import annotations

from comfy_api.latest import Input, io

from .host.sockets import CATEGORY
from .host.video import components_of, looking_through, open_source


class VideoFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_VideoFrames",
            display_name="M3DDM Video Frames",
            category=CATEGORY,
            description="All frames of a video as a player shows them, with its sound: as Get Video Components, and "
            "right also where pixels are no squares (HDV, DV, discs), where pictures are mirrored, and where the "
            "default sound track is not the last.",
            search_aliases=["get video components", "split video", "square pixels", "anamorphic", "m3ddm"],
            inputs=[io.Video.Input("video", tooltip="From Load Video, or any other video.")],
            outputs=[
                io.Image.Output(
                    display_name="images", tooltip="The frames, upright, with square pixels. Goes to M3DDM Edge Mask."
                ),
                io.Audio.Output(
                    display_name="audio",
                    tooltip="The sound from the first frame to the end of the last, if there is any.",
                ),
                io.Float.Output(
                    display_name="fps", tooltip="Frames a second. Goes to M3DDM Encode Context and to Create Video."
                ),
            ],
        )

    @classmethod
    def execute(cls, video: Input.Video) -> io.NodeOutput:
        source = open_source(video, 0, looking_through())
        parts = components_of(source, source.frames())
        return io.NodeOutput(parts.images, parts.audio, float(parts.frame_rate))
