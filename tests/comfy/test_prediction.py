"""A checkpoint that predicts v: ComfyUI's model type follows its metadata, and gives what the core gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch


def test_a_v_prediction_checkpoint_is_sampled_as_the_core_samples_it(pack, golden, vae):
    import comfy.model_base
    import folder_paths

    unet = pack.module("m3ddm_core.unet")
    checkpoint = pack.module("m3ddm_core.checkpoint")
    config = dataclasses.replace(unet.M3DDM_CONFIG, block_out_channels=(32, 32, 64, 64))
    path = Path(folder_paths.get_folder_paths("diffusion_models")[0]) / "m3ddm_v.safetensors"
    checkpoint.save_checkpoint(path, golden.seeded_weights(config), config, {"prediction_type": "v_prediction"})
    (model,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=path.name, weight_dtype="fp32")
    assert model.model.model_type == comfy.model_base.ModelType.V_PREDICTION

    frames = torch.rand((16, 64, 32, 3), generator=torch.Generator().manual_seed(0))
    prepared, _ = pack.prepare(frames, vae, target="1:1")
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
    settings = pack.settings(steps=4)
    nodes = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=2, settings=settings)[0]

    network = pack.module("m3ddm_core.sampling.prediction").noise_network(golden.seeded_network(config), "v_prediction")
    sample = pack.module("m3ddm_core.sampling.pndm").reference_sampler(
        network, steps=4, context_scale=settings.guidance.context_scale, global_scale=settings.guidance.global_scale
    )
    with torch.inference_mode():
        core = pack.module("m3ddm_core.outpaint.stages").outpaint_stage(state, 1, sample, seed=2)
    assert golden.relative_difference(nodes.latents, core.latents) <= 1e-3
