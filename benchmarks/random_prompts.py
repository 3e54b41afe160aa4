"""Prompts drawn at random: the shipped workflows, at small sizes, with any of the settings that their nodes have."""

from __future__ import annotations

import random
from typing import Any

from devtools import templates, workflow
from devtools.client import Prompt

WORKFLOWS = ("Outpaint a video", "Step by step", "Sharper second pass", "Moving camera")
VAE = "m3ddm_demo_vae.safetensors"
SAMPLERS = ("pndm", "euler", "euler_ancestral", "ddim", "dpmpp_2m", "dpmpp_2m_sde")


def random_prompt(draw: random.Random, object_info: dict[str, Any], clips: list[str], network: str) -> Prompt:
    """Draw a workflow, a clip and all settings. The VAE is the demonstration's."""
    prompt = workflow.load(templates.titled(draw.choice(WORKFLOWS)), object_info)
    seed = draw.randrange(1 << 32)
    asked = {
        "LoadVideo": {"file": draw.choice(clips)},
        "M3DDM_LoadCheckpoint": {"checkpoint": network},
        "M3DDM_SamplingSettings": _sampling(draw),
        "M3DDM_EdgeMask": _framing(draw),
        "M3DDM_OutpaintVideo": {
            **_framing(draw),
            **_blending(draw),
            "seed": seed,
            "scene_cuts": draw.random() < 0.8,
            "second_pass": draw.choice((0, 0, 0, 64)),
            "seen": draw.choice(("off", "start", "layer", "both")),
        },
        "M3DDM_Composite": _blending(draw),
        "M3DDM_SecondPass": {"canvas_size": 64},
        **{f"M3DDM_Sample{level}": {"seed": seed} for level in ("Keyframes", "Interpolation", "Infill")},
        "SaveVideo": {"filename_prefix": "soak"},
    }
    if workflow.of_type(prompt, "VAELoader"):
        workflow.replace(prompt, "VAELoader", "M3DDM_LoadVAE", vae_name=VAE)
    for kind, inputs in asked.items():
        if workflow.of_type(prompt, kind):
            workflow.set_inputs(prompt, kind, **inputs)
    return prompt


def _sampling(draw: random.Random) -> dict[str, Any]:
    return {
        "preset": "custom",
        "steps": draw.randint(2, 3),
        "sampler": draw.choice(SAMPLERS),
        "scheduler": draw.choice(("normal", "karras", "simple")),
        "context_scale": draw.choice((1.0, 2.0)),
        "global_scale": draw.choice((0.0, 1.0, 4.0)),
        "denoise": draw.choice((1.0, 1.0, 0.6)),
        "guide_noise": draw.choice((0, 0, 100)),
        "clips_per_batch": draw.randint(0, 3),
    }


def _framing(draw: random.Random) -> dict[str, Any]:
    """Targets of a small square clip."""
    sides = {side: 2 * draw.randint(0, 8) for side in ("left", "top", "right", "bottom")}
    return {
        "target": draw.choice(("16:9", "9:16", "4:3", "pixels")),
        **sides,
        "anchor": draw.choice(("center", "left", "top", "bottom right")),
        "canvas_size": draw.choice((64, 80, 96)),
        "canvas_shape": draw.choice(("square", "target")),
        "fill": draw.choice(("smooth", "telea")),
        "size_multiple": draw.choice((2, 8)),
        "first_frames": draw.choice((0, 0, 1, 9, 20)),
    }


def _blending(draw: random.Random) -> dict[str, Any]:
    return {
        "feather": draw.choice((0, 4, 8)),
        "colour_match": draw.choice(("none", "linear", "steady")),
        "resampling": draw.choice(("lanczos", "bicubic", "bilinear")),
        "blend": draw.choice(("feather", "gradient")),
    }
