"""The three levels: keyframes, interpolation, infill."""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest import io

from ..m3ddm_core.fleet.on_ray import Where
from ..m3ddm_core.journal.clips import clips_in
from ..m3ddm_core.outpaint.plan import INFILL_STRIDE, INTERPOLATION_STRIDE, KEYFRAME_STRIDE, THREE_LEVEL_FRAMES
from ..m3ddm_core.outpaint.stages import outpaint_stage
from ..m3ddm_core.outpaint.state import OutpaintState
from ..m3ddm_core.sampling.settings import CheckpointSettings, Settings
from .host.fleet import fleet_input, sampled_by
from .host.inputs import seed_input
from .host.journal import open_journal
from .host.model import advice_of, require_m3ddm
from .host.models import comfy_network
from .host.outputs import state_output, state_outputs
from .host.progress import stage_progress
from .host.sockets import CATEGORY, SamplingSocket, State


def sampler_schema(
    node_id: str, display_name: str, description: str, search_aliases: list[str], strides: list[io.Input]
) -> io.Schema:
    """The schema that the three sampler nodes share; ``strides`` is the stride input of those that have one."""
    return io.Schema(
        node_id=node_id,
        display_name=display_name,
        category=CATEGORY,
        description=description,
        search_aliases=search_aliases,
        inputs=[
            io.Model.Input("model", tooltip="From M3DDM Load Checkpoint, with or without patches such as LoRA."),
            State.Input("state", tooltip="From M3DDM Encode Context, M3DDM Guide Frames or the level before."),
            seed_input(),
            *strides,
            SamplingSocket.Input(
                "settings",
                optional=True,
                tooltip="From M3DDM Sampling Settings. Without it, the settings that the checkpoint's file recommends.",
            ),
            fleet_input(),
        ],
        outputs=state_outputs("The state with the frames of this level known."),
    )


def stride_input(default: int, tooltip: str) -> io.Input:
    return io.Int.Input("stride", default=default, min=1, max=120, tooltip=tooltip)


class SampleKeyframes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return sampler_schema(
            "M3DDM_SampleKeyframes",
            "M3DDM Sample Keyframes",
            "First level: generates keyframes far apart, each clip continuing the one before. Videos under 50 frames "
            "pass through unchanged; M3DDM Sample Infill does all of them.",
            ["outpaint keyframes", "m3ddm sampler", "hierarchical sampling"],
            [
                stride_input(
                    KEYFRAME_STRIDE,
                    "Distance from one keyframe to the next, in frames. 15 in the published code; M3DDM+ also uses 5.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        state: OutpaintState,
        seed: int,
        stride: int,
        settings: Settings | None = None,
        fleet: Where | None = None,
    ) -> io.NodeOutput:
        return sample_coarse_level("M3DDM keyframes", model, state, seed, stride, settings, fleet)


class SampleInterpolation(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return sampler_schema(
            "M3DDM_SampleInterpolation",
            "M3DDM Sample Interpolation",
            "Second level: generates frames between the keyframes. Videos under 50 frames pass through unchanged; "
            "M3DDM Sample Infill does all of them.",
            ["outpaint interpolation", "m3ddm sampler", "hierarchical sampling"],
            [
                stride_input(
                    INTERPOLATION_STRIDE,
                    "Distance between the frames that this level makes, in frames. 5 in the published code; M3DDM+ "
                    "also uses 3.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        state: OutpaintState,
        seed: int,
        stride: int,
        settings: Settings | None = None,
        fleet: Where | None = None,
    ) -> io.NodeOutput:
        return sample_coarse_level("M3DDM interpolation", model, state, seed, stride, settings, fleet)


class SampleInfill(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return sampler_schema(
            "M3DDM_SampleInfill",
            "M3DDM Sample Infill",
            "Last level: generates every frame that is still unknown; of a video under 50 frames, that is all of them.",
            ["outpaint infill", "m3ddm sampler", "hierarchical sampling"],
            [],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        state: OutpaintState,
        seed: int,
        settings: Settings | None = None,
        fleet: Where | None = None,
    ) -> io.NodeOutput:
        return sample_level("M3DDM infill", model, state, seed, INFILL_STRIDE, settings, fleet)


def sample_coarse_level(
    title: str,
    patcher: Any,
    state: OutpaintState,
    seed: int,
    stride: int,
    settings: Settings | None,
    fleet: Where | None,
) -> io.NodeOutput:
    """Run a level above the infill, which short videos do without."""
    require_m3ddm(patcher)
    if state.num_frames < THREE_LEVEL_FRAMES:
        logging.info("%s: %d frames are few enough for the infill alone; passed on unchanged.", title, state.num_frames)
        return state_output(state)
    return sample_level(title, patcher, state, seed, stride, settings, fleet)


def sample_level(
    title: str,
    patcher: Any,
    state: OutpaintState,
    seed: int,
    stride: int,
    settings: Settings | None,
    fleet: Where | None,
) -> io.NodeOutput:
    """Run one level through the core's stage loop, here or by the workers of a fleet."""
    require_m3ddm(patcher)
    settings = (settings or CheckpointSettings()).beside(advice_of(patcher).sampling)
    with (
        sampled_by(fleet, patcher, comfy_network(patcher)) as models,
        open_journal(title) as journal,
        stage_progress(patcher, title, state.latent_rgb) as on_progress,
    ):
        state = outpaint_stage(
            state,
            stride,
            models.sampler(settings, seed),
            seed=seed,
            clips_per_batch=models.clips_at_once(settings, *state.start.shape[-2:]),
            guide_noise=settings.guide_noise,
            journal=clips_in(journal, lambda: models.recipe(settings, seed)),
            on_progress=on_progress,
        )
    return state_output(state)
