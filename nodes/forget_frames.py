"""Finished frames that came out badly -> frames that are to be made again."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from ..m3ddm_core.outpaint.frame_numbers import parse_frames
from ..m3ddm_core.outpaint.state import OutpaintState
from .host.sockets import CATEGORY, State


class ForgetFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_ForgetFrames",
            display_name="M3DDM Forget Frames",
            category=CATEGORY,
            description="Makes some frames of a finished video unknown again. Sampler nodes after it, with another "
            "seed, generate these frames anew; all others stay as they are.",
            search_aliases=["re-roll", "reroll frames", "forget frames", "redo part", "retry", "fix frames"],
            inputs=[
                State.Input("state", tooltip="From the last sampler node of the run that you want to correct."),
                io.String.Input(
                    "frame_numbers",
                    default="",
                    tooltip="Which frames to forget, counted from 0: '120-150, 200' is frames 120 to 150 and frame "
                    "200, '-10--1' the last ten. Negative numbers count from the end. Empty forgets nothing.",
                ),
                io.Boolean.Input(
                    "forget_guides",
                    default=False,
                    tooltip="Also forgets your own frames (those of M3DDM Guide Frames) among them. Off keeps them.",
                ),
            ],
            outputs=[
                State.Output(
                    display_name="state",
                    tooltip="The state in which these frames are unknown. Goes to M3DDM Sample Infill with another "
                    "seed, or to all three levels if a range is longer than a dozen frames.",
                )
            ],
        )

    @classmethod
    def execute(cls, state: OutpaintState, frame_numbers: str, forget_guides: bool) -> io.NodeOutput:
        numbers = parse_frames(frame_numbers, state.num_frames)
        forgotten = state.without(numbers, guides=forget_guides)
        kept = sorted(forgotten.known.intersection(numbers))
        if kept:
            logging.info("M3DDM Forget Frames: kept as given from the outset: frames %s.", kept)
        return io.NodeOutput(forgotten)
