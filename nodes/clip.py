"""One clip in the core's own terms, and its result back: for any sampler and guider that ComfyUI has."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import torch
from comfy_api.latest import io

from ..m3ddm_core.outpaint.clips import clip_inputs, ready_clip, with_clips
from ..m3ddm_core.outpaint.plan import INFILL_STRIDE, Clip
from ..m3ddm_core.outpaint.state import OutpaintState
from ..m3ddm_core.sampling.guidance import Branch
from .host.model import condition
from .host.outputs import state_output, state_outputs
from .host.sockets import CATEGORY, State

PlannedClip = io.Custom("M3DDM_PLANNED_CLIP")


class ClipConditioning(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_ClipConditioning",
            display_name="M3DDM Clip Conditioning",
            category=CATEGORY,
            description="Gives one clip of 16 frames as ordinary conditionings and a latent, to be sampled with "
            "ComfyUI's own nodes, such as Dual CFG Guider and SamplerCustomAdvanced. M3DDM Clip Result puts the "
            "result back into the state.",
            search_aliases=["m3ddm conditioning", "dual cfg", "custom sampler", "ksampler", "sample by hand"],
            inputs=[
                State.Input("state", tooltip="From M3DDM Encode Context, M3DDM Guide Frames or any level before."),
                io.Int.Input(
                    "stride",
                    default=INFILL_STRIDE,
                    min=1,
                    max=120,
                    tooltip="The level: 15, then 5, then 1 in the published code; only 1 for videos under 50 frames.",
                ),
                io.Int.Input(
                    "clip_number",
                    default=0,
                    min=0,
                    max=10_000,
                    tooltip="Which of the clips that can be sampled now. 0 is the next one; the others do not depend "
                    "on it and may be sampled side by side.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive", tooltip="With context and global frames: cond1 of Dual CFG Guider."
                ),
                io.Conditioning.Output(display_name="context", tooltip="With context alone: cond2 of Dual CFG Guider."),
                io.Conditioning.Output(
                    display_name="negative", tooltip="With neither, except for frames that are known completely."
                ),
                io.Latent.Output(
                    display_name="latent",
                    tooltip="The clip as it starts: the filled canvas, 16 frames as one video latent.",
                ),
                PlannedClip.Output(
                    display_name="clip", tooltip="Which frames these are, for M3DDM Clip Result. Not a text encoder."
                ),
            ],
        )

    @classmethod
    def execute(cls, state: OutpaintState, stride: int, clip_number: int) -> io.NodeOutput:
        clip = ready_clip(state, stride, clip_number)
        conditions, start, _ = clip_inputs(state, (clip,), seed=0, guide_noise=0)
        # M3DDM reads no text, but nodes that look at a conditioning expect a tensor there.
        told = ([[torch.zeros(1, 1, 320), condition(conditions, branch)]] for branch in Branch)
        return io.NodeOutput(*told, {"samples": comfy.latent_formats.SD15().process_out(start)}, clip)


class ClipResult(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_ClipResult",
            display_name="M3DDM Clip Result",
            category=CATEGORY,
            description="Puts a clip that was sampled with ComfyUI's own nodes back into the state.",
            search_aliases=["m3ddm result", "put clip back", "sample by hand"],
            inputs=[
                State.Input(
                    "state",
                    tooltip="The state that the clip was taken from. Results of other clips may have been added to it "
                    "since.",
                ),
                io.Latent.Input("latent", tooltip="The sampled clip: 16 frames as one video latent."),
                PlannedClip.Input("clip", tooltip="From the M3DDM Clip Conditioning that gave the clip."),
            ],
            outputs=state_outputs("The state with the clip's frames known."),
        )

    @classmethod
    def execute(cls, state: OutpaintState, latent: dict[str, Any], clip: Clip) -> io.NodeOutput:
        latents = comfy.latent_formats.SD15().process_in(latent["samples"].float())
        return state_output(with_clips(state, (clip,), latents))
