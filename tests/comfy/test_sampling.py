"""ComfyUI's samplers and schedulers through our guider: finite, and the same whatever the batch of clips."""

from __future__ import annotations

import dataclasses

import pytest
import torch

FRAMES = 31
GUIDES = (0, 15, 30)
CLIPS = 2
STEPS = 3
ONE_BRANCH = {"context_scale": 1.0, "global_scale": 1.0}


@pytest.fixture(scope="module")
def state(pack):
    """A state whose infill is one wave of two clips: 31 frames of 8x8 latents, known every fifteenth."""
    draw = torch.Generator().manual_seed(0)

    def latents(*shape):
        return torch.randn(shape, generator=draw)

    masks = torch.zeros(FRAMES, 1, 8, 8)
    masks[..., 4:] = 1
    state = pack.module("m3ddm_core.outpaint.state").OutpaintState(
        start=(start := latents(FRAMES, 4, 8, 8)),
        masked=latents(FRAMES, 4, 8, 8),
        masks=masks,
        blank=latents(1, 4, 8, 8),
        latents=start,
        global_latents=latents(2, 4, 16, 16),
        fps=25.0,
        known=frozenset(),
        guides=frozenset(),
        placement=None,
    )
    return state.with_guides({index: latents(4, 8, 8) for index in GUIDES})


@pytest.fixture
def infill(pack, model, state):
    """Run the infill node with given settings and return the latents of all frames."""

    def run(**settings):
        settings = pack.settings(**{"steps": STEPS, **settings})
        done, latent, unknown = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=1, settings=settings)
        assert len(done.known) == FRAMES and not unknown.any()
        assert torch.isfinite(latent["samples"]).all()
        return latent["samples"]

    return run


def assert_alike(one, other, what):
    difference = ((one - other).abs().max() / one.abs().max()).item()
    assert difference < 1e-3, f"{what}: differs by {difference:.1e} with the batch of clips"


def test_every_sampler_runs_and_does_not_depend_on_the_batch(infill):
    import comfy.samplers

    failures = []
    for name in comfy.samplers.KSampler.SAMPLERS:
        try:
            alone = infill(sampler=name, **ONE_BRANCH)
            assert_alike(alone, infill(sampler=name, clips_per_batch=CLIPS, **ONE_BRANCH), name)
        except Exception as error:  # every sampler is tried before the verdict
            failures.append(f"{name}: {error}")
    assert not failures, "\n".join(failures)


def test_every_scheduler_runs(pack, infill):
    import comfy.samplers

    for name in comfy.samplers.KSampler.SCHEDULERS:
        infill(sampler="euler", scheduler=name, **ONE_BRANCH)


@pytest.mark.parametrize("sampler", ["euler_cfg_pp", "euler_ancestral_cfg_pp", "dpmpp_2m_cfg_pp"])
def test_cfg_pp_samplers_run_without_context_guidance(infill, sampler):
    infill(sampler=sampler, context_scale=1.0)


def test_pndm_does_not_depend_on_the_batch(infill):
    assert_alike(infill(), infill(clips_per_batch=CLIPS), "pndm")


def test_known_frames_come_back_untouched(pack, infill, state):
    samples = infill()
    raw = state.latents[list(GUIDES)] / 0.18215
    assert torch.allclose(samples[list(GUIDES)], raw, rtol=1e-6, atol=0)


def test_denoise_keeps_more_of_the_start(infill, state):
    start = state.latents / 0.18215
    unknown = [index for index in range(FRAMES) if index not in GUIDES]
    little = (infill(denoise=0.1, steps=4) - start)[unknown].abs().mean()
    all_of_it = (infill(steps=4) - start)[unknown].abs().mean()
    assert little < 0.5 * all_of_it


def test_guide_noise_changes_the_result_and_keeps_the_guides(infill, state):
    clean, noised = infill(), infill(guide_noise=500)
    assert not torch.allclose(clean, noised)
    assert torch.equal(clean[list(GUIDES)], noised[list(GUIDES)])


@pytest.mark.parametrize(
    ("context_scale", "global_scale", "evaluations"),
    [(2.0, 4.0, 3), (1.0, 4.0, 2), (4.0, 4.0, 2), (2.0, 0.0, 2), (1.0, 1.0, 1), (0.0, 0.0, 1), (1.0, 0.0, 1)],
)
def test_a_branch_of_weight_zero_is_not_evaluated(pack, model, infill, context_scale, global_scale, evaluations):
    rows = []
    handle = model.model.diffusion_model.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    try:
        infill(context_scale=context_scale, global_scale=global_scale)
    finally:
        handle.remove()
    assert sum(rows) == evaluations * CLIPS * STEPS


def test_post_cfg_functions_run_and_see_the_unconditional_branch(pack, model, state):
    seen = []

    def halve(args):
        seen.append(args["uncond_denoised"].abs().sum().item())
        return args["denoised"] * 0.5

    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(halve)
    settings = pack.settings(steps=STEPS)
    plain = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=1, settings=settings)[1]["samples"]
    changed = pack.run("M3DDM_SampleInfill", model=patched, state=state, seed=1, settings=settings)[1]["samples"]
    assert len(seen) == CLIPS * STEPS and all(value > 0 for value in seen)
    assert not torch.allclose(plain, changed)


def test_settings_need_not_be_wired(pack, model, state):
    short = dataclasses.replace(pack.settings(), steps=2)
    assert pack.run("M3DDM_SamplingSettings", **short.flat()) == (short,)
    assert pack.settings() == pack.settings(
        steps=50, sampler="pndm", context_scale=2.0, global_scale=4.0, denoise=1.0, guide_noise=0, clips_per_batch=1
    )
