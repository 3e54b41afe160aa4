"""Settings that the three sampler nodes share."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ..m3ddm_core.sampling import settings as core
from ..m3ddm_core.sampling.settings import CHECKPOINT, CUSTOM, PRESET_NAMES, PRESETS, decided_by, preset_settings
from ..m3ddm_core.sampling.solvers import PNDM
from .host.inputs import IF_ABSENT, SAYS, SHOWN_WHEN
from .host.memory import MOST_CLIPS
from .host.sockets import CATEGORY, SamplingSocket


def shown_beside(name: str) -> dict[str, Any]:
    """The option of an input that counts only beside presets which leave it open."""
    return {SHOWN_WHEN: {"preset": [preset for preset in PRESET_NAMES if name not in decided_by(preset)]}}


def said_of_presets() -> dict[str, str]:
    """What each preset sets, in a line; custom sets nothing."""
    said = {CHECKPOINT: "what the network's file recommends"}
    for name, preset in PRESETS.items():
        line = f"{preset.steps} steps, {preset.sampler}"
        if preset.sampler != PNDM:
            line += f", {preset.scheduler}"
        said[name] = line
    return said


class SamplingSettings(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        published = core.SamplingSettings().flat()
        return io.Schema(
            node_id="M3DDM_SamplingSettings",
            display_name="M3DDM Sampling Settings",
            category=CATEGORY,
            description="Settings for the three sampler nodes. Without this node they use the settings that the "
            "checkpoint's file recommends, or those of the published code if it recommends none.",
            search_aliases=["m3ddm settings", "steps", "cfg", "guidance scale", "scheduler", "sampler settings"],
            inputs=[
                io.Int.Input(
                    "steps",
                    default=published["steps"],
                    min=1,
                    max=1000,
                    extra_dict=shown_beside("steps"),
                    tooltip="Denoising steps of each clip. The published code takes 50; fewer are faster and coarser.",
                ),
                io.Combo.Input(
                    "sampler",
                    options=[PNDM, *comfy.samplers.KSampler.SAMPLERS],
                    default=published["sampler"],
                    extra_dict=shown_beside("sampler"),
                    tooltip="pndm is the published code's sampler. ComfyUI's own samplers work too, and several of "
                    "them need fewer steps.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    default=published["scheduler"],
                    extra_dict=shown_beside("scheduler"),
                    tooltip="How the steps are spread over the noise levels. pndm has its own and ignores this.",
                ),
                io.Float.Input(
                    "context_scale",
                    default=published["context_scale"],
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    extra_dict=shown_beside("context_scale"),
                    tooltip="How strongly the known part of the clip guides the border. 1 is no guidance and saves "
                    "one network evaluation per step.",
                ),
                io.Float.Input(
                    "global_scale",
                    default=published["global_scale"],
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    extra_dict=shown_beside("global_scale"),
                    tooltip="How strongly the global frames guide the border. The same value as context_scale, or 0, "
                    "saves one network evaluation per step.",
                ),
                io.Float.Input(
                    "denoise",
                    default=published["denoise"],
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="1 generates the border anew. Less keeps more of the filled canvas, for a second pass.",
                ),
                io.Int.Input(
                    "guide_noise",
                    default=published["guide_noise"],
                    min=0,
                    max=999,
                    advanced=True,
                    tooltip="Adds noise to the known frames that the network sees, as much as belongs to this "
                    "timestep. It works against errors that build up over a long video. 0: no noise, as in the "
                    "published code; 100 is a good first try. The frames themselves stay clean.",
                ),
                io.Int.Input(
                    "clips_per_batch",
                    default=published["clips_per_batch"],
                    min=0,
                    max=MOST_CLIPS,
                    advanced=True,
                    tooltip="How many independent clips are sampled at once. More clips are faster on a large GPU and "
                    "take more memory; the result stays the same. 0: as many as fit into memory; on a CPU, one.",
                ),
                # Optional, since workflows and scripts from before these inputs came do not name them.
                io.Combo.Input(
                    "preset",
                    options=list(PRESET_NAMES),
                    default=CHECKPOINT,
                    optional=True,
                    extra_dict={IF_ABSENT: CUSTOM, SAYS: said_of_presets()},
                    tooltip="custom uses the inputs as they are set here. Every other preset replaces steps, sampler, "
                    "scheduler, guidance_start, guidance_end and unconditional_every. checkpoint: the settings that "
                    "the network's file recommends, both scales included; the published weights recommend none and "
                    "get reference with scales 2 and 4. reference: samples as the published code does. balanced: a "
                    "fifth of the published code's network evaluations, for pictures as close to its own as possible. "
                    "fast: a twelfth of them, coarser, for choosing placement and seed.",
                ),
                io.Float.Input(
                    "guidance_start",
                    default=published["guidance_start"],
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    extra_dict=shown_beside("guidance_start"),
                    tooltip="Where guidance begins: 0 is the noisiest step, 1 the last. Before it, scales above 1 "
                    "count as 1, and a step takes one network evaluation instead of three. The first steps decide the "
                    "layout, so after a late start the border fits the rest of the video less well.",
                ),
                io.Float.Input(
                    "guidance_end",
                    default=published["guidance_end"],
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    extra_dict=shown_beside("guidance_end"),
                    tooltip="Where guidance ends: 0 is the noisiest step, 1 the last. After it, scales above 1 count "
                    "as 1, and a step takes one network evaluation instead of three. The last steps add fine detail, "
                    "which comes out less sharp; with an earlier end the border also fits the video less well. Use it "
                    "with euler, heun or ddim: samplers that go by earlier steps (pndm, dpmpp, uni_pc) go wrong where "
                    "guidance ends.",
                ),
                io.Int.Input(
                    "unconditional_every",
                    default=published["unconditional_every"],
                    min=1,
                    max=50,
                    optional=True,
                    extra_dict=shown_beside("unconditional_every"),
                    tooltip="How often the network is evaluated without any condition: 1 is in every step, as in the "
                    "published code, 2 in every second step, and so on. In the other steps this answer is estimated. "
                    "2 saves a sixth of the evaluations; the fewer steps there are, the coarser the estimate. Not for "
                    "pndm, which amplifies the errors.",
                ),
            ],
            outputs=[SamplingSocket.Output(display_name="settings", tooltip="For the three M3DDM sampler nodes.")],
        )

    @classmethod
    def execute(cls, preset: str = CUSTOM, **values: Any) -> io.NodeOutput:
        decided = decided_by(preset)
        own = {name: value for name, value in values.items() if name not in decided}
        return io.NodeOutput(preset_settings(preset, own))
