"""Settings that the three sampler nodes share."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ..m3ddm_core.sampling import settings as core
from ..m3ddm_core.sampling.settings import CHECKPOINT, CUSTOM, PRESET_NAMES, decided_by, preset_settings
from ..m3ddm_core.sampling.solvers import PNDM
from .host.inputs import IF_ABSENT
from .host.memory import MOST_CLIPS
from .host.sockets import CATEGORY, SamplingSocket


class SamplingSettings(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        release = core.SamplingSettings().flat()
        return io.Schema(
            node_id="M3DDM_SamplingSettings",
            display_name="M3DDM Sampling Settings",
            category=CATEGORY,
            description="Settings for the three sampler nodes. Without it they sample as the checkpoint says it is "
            "best sampled, or else as the published code does.",
            search_aliases=["m3ddm settings", "steps", "cfg", "guidance scale", "scheduler", "sampler settings"],
            inputs=[
                io.Int.Input(
                    "steps",
                    default=release["steps"],
                    min=1,
                    max=1000,
                    tooltip="Denoising steps of each clip. The published code takes 50; fewer are faster and coarser.",
                ),
                io.Combo.Input(
                    "sampler",
                    options=[PNDM, *comfy.samplers.KSampler.SAMPLERS],
                    default=release["sampler"],
                    tooltip="pndm is the published code's sampler. ComfyUI's own work as well, several of them well "
                    "with fewer steps.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    default=release["scheduler"],
                    tooltip="How the steps are spread over the noise levels. pndm has its own and ignores this.",
                ),
                io.Float.Input(
                    "context_scale",
                    default=release["context_scale"],
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="How strongly the known part of the clip guides the border. 1 is no guidance and saves "
                    "one network evaluation a step.",
                ),
                io.Float.Input(
                    "global_scale",
                    default=release["global_scale"],
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="How strongly the global frames guide the border. The same as context_scale, or 0, saves "
                    "one network evaluation a step.",
                ),
                io.Float.Input(
                    "denoise",
                    default=release["denoise"],
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="1 generates the border anew. Less keeps more of the filled canvas, for a second pass.",
                ),
                io.Int.Input(
                    "guide_noise",
                    default=release["guide_noise"],
                    min=0,
                    max=999,
                    tooltip="Noises the known frames that a clip is shown to this timestep, against errors that build "
                    "up over a long video. 0: not at all, as in the published code; around 100 is a start. What is "
                    "kept stays clean.",
                ),
                io.Int.Input(
                    "clips_per_batch",
                    default=release["clips_per_batch"],
                    min=0,
                    max=MOST_CLIPS,
                    tooltip="How many independent clips are sampled at once. Faster on a large GPU, takes that much "
                    "more memory, and does not change the result. 0: as many as there is room for; on a CPU one.",
                ),
                # Optional, since workflows and scripts from before these inputs came do not name them.
                io.Combo.Input(
                    "preset",
                    options=list(PRESET_NAMES),
                    default=CHECKPOINT,
                    optional=True,
                    extra_dict={IF_ABSENT: CUSTOM},
                    tooltip="All but custom set steps, sampler, scheduler, guidance_start, guidance_end and "
                    "unconditional_every in place of what stands here. checkpoint: as the network's file says that it "
                    "is best sampled, the scales too; the published weights say nothing and get reference with scales "
                    "2 and 4. reference: as the published code samples. balanced: a fifth of its network evaluations, "
                    "for pictures as near as may be. fast: a twelfth, for finding placement and seed; coarser.",
                ),
                io.Float.Input(
                    "guidance_start",
                    default=release["guidance_start"],
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="Where guidance sets in, 0 the noisiest step and 1 the last. Before it both scales count "
                    "as 1 at most: one network evaluation a step instead of three. Layout is settled in the first "
                    "steps, so starting late costs agreement with the rest of the video.",
                ),
                io.Float.Input(
                    "guidance_end",
                    default=release["guidance_end"],
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="Where guidance stops, 0 the noisiest step and 1 the last. After it both scales count as "
                    "1 at most: one network evaluation a step instead of three. The last steps settle fine detail, "
                    "which comes out less sharp; stopping earlier costs agreement with the video. For euler, heun and "
                    "ddim: samplers that look back (pndm, dpmpp, uni_pc) stumble where guidance stops.",
                ),
                io.Int.Input(
                    "unconditional_every",
                    default=release["unconditional_every"],
                    min=1,
                    max=50,
                    optional=True,
                    tooltip="In every so many steps the network is asked without any condition; in between its answer "
                    "is estimated. 1 always asks, as the published code does. 2 saves a sixth of the evaluations; the "
                    "fewer steps there are, the coarser the estimate. Not for pndm, which builds up the differences.",
                ),
            ],
            outputs=[SamplingSocket.Output(display_name="settings", tooltip="For the three M3DDM sampler nodes.")],
        )

    @classmethod
    def execute(cls, preset: str = CUSTOM, **values: Any) -> io.NodeOutput:
        decided = decided_by(preset)
        own = {name: value for name, value in values.items() if name not in decided}
        return io.NodeOutput(preset_settings(preset, own))
