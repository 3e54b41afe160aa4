"""The golden videos, out of the nodes: ComfyUI's model management, guider and schedule around the same numbers."""

from __future__ import annotations

import pytest
import torch

TOLERANCE = 1e-3


@pytest.mark.parametrize("name", ["video_40", "video_64"])
def test_golden_video_comes_out_of_the_nodes(pack, golden, model, vae, name):
    video = golden.GoldenFile(golden.GOLDEN / f"{name}.safetensors")
    width, height = (int(side) for side in video.metadata["canvas"].split("x"))
    prepared, frames = pack.prepare(
        video["frames"].float() / 255,
        vae,
        count=16,
        target="custom ratio",
        custom_ratio=f"{width}:{height}",
        fill="telea",
    )
    assert prepared["canvas"].shape[1:3] == (height, width)
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=video.metadata["fps"], **prepared)
    settings = pack.settings(
        steps=video.metadata["steps"],
        context_scale=video.metadata["context_scale"],
        global_scale=video.metadata["global_scale"],
        clips_per_batch=2,
    )
    common = {"model": model, "seed": video.metadata["seed"], "settings": settings}
    state, _, unknown = pack.run("M3DDM_SampleKeyframes", state=state, stride=15, **common)
    assert unknown.shape == (len(frames), height, width)
    state, _, _ = pack.run("M3DDM_SampleInterpolation", state=state, stride=5, **common)
    state, latent, unknown = pack.run("M3DDM_SampleInfill", state=state, **common)
    assert not unknown.any()
    golden_raw = video["latents"] / 0.18215
    assert golden.relative_difference(latent["samples"], golden_raw) <= TOLERANCE
    assert torch.isfinite(vae.decode(latent["samples"])).all()
