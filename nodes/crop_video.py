"""A video without its edges, or without the black bars that are found around it: before it is outpainted."""

from __future__ import annotations

from itertools import count

from comfy_api.latest import Input, io

from ..m3ddm_core.canvas.limits import MOST_SIDE
from ..m3ddm_core.video.bars import find_bars
from ..m3ddm_core.video.crop import Crop, CroppedSource
from .host.inputs import PIXELS, SHOWN_WHEN
from .host.sockets import CATEGORY
from .host.video import StreamedVideo, looking_through, open_source

FOUND = "found bars"


class CropVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_CropVideo",
            display_name="M3DDM Crop Video",
            category=CATEGORY,
            description="Takes the black bars off a video, or any pixels of its sides, so that M3DDM Outpaint Video "
            "has nothing but picture to go on from. Frames are read when they are needed; sound and times stay.",
            search_aliases=["black bars", "letterbox", "pillarbox", "remove bars", "crop video", "trim edges", "m3ddm"],
            inputs=[
                io.Video.Input("video", tooltip="From Load Video, or any other video."),
                io.Combo.Input(
                    "crop",
                    options=[FOUND, PIXELS],
                    default=FOUND,
                    tooltip="found bars looks at frames from all over the video, and takes off what is never anything "
                    "but black and ends in a sharp edge; dark scenes are left alone. pixels takes off what top, "
                    "bottom, left and right say.",
                ),
                *(
                    io.Int.Input(
                        side,
                        default=0,
                        min=0,
                        max=MOST_SIDE,
                        extra_dict={SHOWN_WHEN: {"crop": [PIXELS]}},
                        tooltip=f"Pixels to take off {where}. Used when crop is pixels.",
                    )
                    for side, where in (
                        ("top", "above"),
                        ("bottom", "below"),
                        ("left", "on the left"),
                        ("right", "on the right"),
                    )
                ),
            ],
            outputs=[
                io.Video.Output(display_name="video", tooltip="What is left. Goes to M3DDM Outpaint Video."),
                io.String.Output(
                    display_name="report",
                    tooltip="What was taken off, and what was dark and left; Preview as Text shows it.",
                ),
            ],
        )

    @classmethod
    def execute(cls, video: Input.Video, crop: str, top: int, bottom: int, left: int, right: int) -> io.NodeOutput:
        source = open_source(video, 0, looking_through())
        if crop == FOUND:
            heed, numbers = looking_through(), count(1)
            bars = find_bars(source, lambda: heed(next(numbers), len(source.info.timeline)))
            off, report = bars.crop, str(bars)
        else:
            off = Crop(top, bottom, left, right)
            report = f"taken off: {off}"
        return io.NodeOutput(StreamedVideo(CroppedSource(source, off)) if off else video, report)
