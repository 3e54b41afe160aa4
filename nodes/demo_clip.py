"""The pack's own clip, so that there is something to outpaint before any file is chosen."""

from __future__ import annotations

from comfy_api.latest import InputImpl, io

from .host.sockets import CATEGORY, DEMO_CLIP


class DemoClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_DemoClip",
            display_name="M3DDM Demo Clip",
            category=CATEGORY,
            description="The clip that comes with the pack: 64 frames of 288x360 pixels with sound, from Big Buck "
            "Bunny (Blender Foundation, CC BY 3.0). Put Load Video in its place for a clip of your own.",
            search_aliases=["m3ddm example video", "test clip", "big buck bunny"],
            inputs=[],
            outputs=[
                io.Video.Output(
                    display_name="video", tooltip="Goes to M3DDM Outpaint Video, or to Get Video Components."
                )
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(InputImpl.VideoFromFile(DEMO_CLIP))
