"""A video's scenes, listed in one quick pass, with what the user decides for each: a board for M3DDM Outpaint Video."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import Input, io, ui

from ..m3ddm_core.video.board import read_board, write_board
from ..m3ddm_core.video.cuts import find_cuts
from ..m3ddm_core.video.listing import GAP, draw_strip, list_scenes, tile_size
from .host.board import board_input, check_board, find_guide, guide_stamps
from .host.inputs import cut_inputs
from .host.sockets import CATEGORY
from .host.video import looking_through, open_source


class SceneBoard(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_SceneBoard",
            display_name="M3DDM Scene Board",
            category=CATEGORY,
            description="Lists a video's scenes in one quick pass, without any model, so that each can be decided for "
            "by itself: where the source lies, the seed, or to be left as it is. Run it alone first, decide in its "
            "rows, and connect board to M3DDM Outpaint Video. A later run makes anew only the scenes that changed.",
            search_aliases=["scenes", "scene list", "shots", "storyboard", "scene cuts", "per scene", "m3ddm"],
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="The same video as for M3DDM Outpaint Video."),
                *cut_inputs(
                    "Finds the cuts. The board then holds them, and they are not looked for again. Off lists the video "
                    "as one scene."
                ),
                board_input(
                    "decisions",
                    "What is decided, as JSON, which the rows of the node write: a list of scenes, each named by its "
                    "first frame. For those who script: first, anchor (a name, or two shares of the spare room), "
                    "offset, seed, guides, leave; and cuts.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="board", tooltip="Cuts and decisions as JSON. Goes to M3DDM Outpaint Video."
                ),
                io.Image.Output(
                    display_name="strip",
                    tooltip="A row of small pictures for each scene, with the number of its first frame.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, decisions: str | None = None) -> bool | str:
        """What is no board is reported before anything runs."""
        return check_board(decisions)

    @classmethod
    def fingerprint_inputs(cls, decisions: str | None = None, **others: Any) -> list[tuple[str, int, int]]:
        """Guides with other contents are others."""
        return guide_stamps(decisions)

    @classmethod
    def execute(cls, video: Input.Video, scene_cuts: bool, cut_threshold: float, decisions: str = "") -> io.NodeOutput:
        source, decided = open_source(video, 0, looking_through()), read_board(decisions, find_guide)
        timeline, size = source.info.timeline, source.info.size
        cuts = decided.cuts_before(len(timeline), shortened=False)
        if cuts is None:
            cuts = find_cuts(source.thumbnails, cut_threshold) if scene_cuts else []
        decided.decisions(cuts, len(timeline), shortened=False)  # Raises for scenes that are none.
        scenes = list_scenes(timeline, cuts)
        strip = draw_strip(source.thumbnails, size, scenes)[None].float() / 255
        # What the rows in the node (nodes/web/scene_board.js) are made of.
        shown = {
            "strip": ui.PreviewImage(strip, cls=cls).as_dict()["images"],
            "scenes": [[scene.first, scene.frames, scene.start, scene.seconds] for scene in scenes],
            "tile": [*tile_size(size), GAP],
            "source_size": list(size),
        }
        return io.NodeOutput(write_board(cuts, decisions), strip, ui=shown)
