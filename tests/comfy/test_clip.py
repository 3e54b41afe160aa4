"""The core's own samplers and guiders over one clip, against our sampler nodes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

FRAMES, GUIDES, SEED, STEPS = 31, (0, 15, 30), 1, 3
SAMPLER, SCHEDULER = "dpmpp_2m", "normal"


@pytest.fixture(scope="module")
def state(pack: Any) -> Any:
    """31 frames of 8x8 latents; with every fifteenth given, two clips that are independent of one another."""
    draw = torch.Generator().manual_seed(0)
    masks = torch.zeros(FRAMES, 1, 8, 8)
    masks[..., 4:] = 1
    start, masked = (torch.randn(FRAMES, 4, 8, 8, generator=draw) for _ in range(2))
    return pack.module("m3ddm_core.outpaint.state").OutpaintState(
        start=start,
        masked=masked,
        masks=masks,
        blank=torch.randn(1, 4, 8, 8, generator=draw),
        latents=start,
        global_latents=torch.randn(2, 4, 16, 16, generator=draw),
        fps=25.0,
        known=frozenset(),
        guides=frozenset(),
        placement=None,
    )


@pytest.fixture(scope="module")
def guided(state: Any) -> Any:
    draw = torch.Generator().manual_seed(5)
    return state.with_guides({index: torch.randn(4, 8, 8, generator=draw) for index in GUIDES})


@pytest.fixture
def infill(pack: Any, model: Any) -> Any:
    """Our own sampler node: latents of all frames, raw."""

    def run(state: Any, context_scale: float, global_scale: float) -> torch.Tensor:
        settings = pack.settings(
            steps=STEPS,
            sampler=SAMPLER,
            scheduler=SCHEDULER,
            context_scale=context_scale,
            global_scale=global_scale,
            clips_per_batch=1,
        )
        return pack.run("M3DDM_SampleInfill", model=model, state=state, seed=SEED, settings=settings)[1]["samples"]

    return run


def clip_of(pack: Any, state: Any, number: int = 0, stride: int = 1) -> tuple:
    return pack.run("M3DDM_ClipConditioning", state=state, stride=stride, clip_number=number)


def put_back(pack: Any, state: Any, latent: dict, clip: Any) -> tuple:
    return pack.run("M3DDM_ClipResult", state=state, latent=latent, clip=clip)


def dual_cfg(model: Any, told: tuple, cfg_conds: float, cfg_cond2_negative: float, style: str) -> dict:
    """Dual CFG Guider and SamplerCustomAdvanced, as a graph would run them."""
    from comfy_extras import nodes_custom_sampler as core

    positive, context, negative, latent, _ = told
    with torch.inference_mode():
        (guider,) = core.DualCFGGuider.execute(
            model, positive, context, negative, cfg_conds, cfg_cond2_negative, style
        ).args
        (noise,) = core.RandomNoise.execute(SEED).args
        (sampler,) = core.KSamplerSelect.execute(SAMPLER).args
        (sigmas,) = core.BasicScheduler.execute(model, SCHEDULER, STEPS, 1.0).args
        return core.SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).args[0]


def k_sampler(model: Any, positive: list, negative: list, latent: dict, cfg: float) -> dict:
    import nodes

    with torch.inference_mode():
        return nodes.KSampler().sample(model, SEED, STEPS, cfg, SAMPLER, SCHEDULER, positive, negative, latent)[0]


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("context_scale", "global_scale", "cfg_conds", "cfg_cond2_negative", "style"),
    [(2.0, 4.0, 4.0, 2.0, "regular"), (2.0, 4.0, 2.0, 2.0, "nested"), (1.0, 3.0, 3.0, 1.0, "regular")],
)
def test_dual_cfg_guider_is_our_guidance(
    pack: Any,
    model: Any,
    guided: Any,
    infill: Any,
    context_scale: float,
    global_scale: float,
    cfg_conds: float,
    cfg_cond2_negative: float,
    style: str,
) -> None:
    """Both clips side by side from one state, put back one after the other."""
    result = guided
    for number in (0, 1):
        told = clip_of(pack, guided, number)
        sampled = dual_cfg(model, told, cfg_conds, cfg_cond2_negative, style)
        result, latent, unknown = put_back(pack, result, sampled, told[4])
    assert len(result.known) == FRAMES and not unknown.any()
    assert_same(latent["samples"], infill(guided, context_scale, global_scale))


def test_scales_matter(pack: Any, model: Any, guided: Any) -> None:
    """So that the test above can fail."""
    told = clip_of(pack, guided)
    one, other = (dual_cfg(model, told, *scales, "regular")["samples"] for scales in ((4.0, 2.0), (2.0, 4.0)))
    assert (one - other).abs().max() > 0.05 * one.abs().max()


@pytest.mark.parametrize(
    ("which", "cfg", "context_scale", "global_scale"),
    [((0, 2), 3.0, 3.0, 3.0), ((0, 1), 3.0, 1.0, 3.0), ((1, 2), 3.0, 3.0, 0.0)],
    ids=["positive and negative", "positive and context", "context and negative"],
)
def test_k_sampler_takes_two_of_them(
    pack: Any,
    model: Any,
    state: Any,
    infill: Any,
    which: tuple[int, int],
    cfg: float,
    context_scale: float,
    global_scale: float,
) -> None:
    """With nothing known the clips are a chain: the second is number 0 when the first is back."""
    result = state
    for _ in range(2):
        told = clip_of(pack, result)
        sampled = k_sampler(model, told[which[0]], told[which[1]], told[3], cfg)
        result, latent, _ = put_back(pack, result, sampled, told[4])
    assert len(result.known) == FRAMES
    assert_same(latent["samples"], infill(state, context_scale, global_scale))


def test_what_a_clip_is_told(pack: Any, state: Any, guided: Any) -> None:
    positive, context, negative, latent, clip = clip_of(pack, guided)
    assert latent["samples"].shape == (1, 4, 16, 8, 8) and "noise_mask" not in latent
    torch.testing.assert_close(latent["samples"][0, :, 3] * 0.18215, state.start[clip.indices[3]])
    for told in (positive, context, negative):
        ((tensor, options),) = told
        assert tensor.shape == (1, 1, 320) and options["fps"] == 25
        assert options["concat_latent_image"].shape == (1, 4, 16, 8, 8)
        assert options["concat_mask"].shape == (1, 1, 16, 8, 8)
        assert (options["concat_mask"][:, :, [0, 15]] == 0).all(), "guide frames are known in every branch"
    assert positive[0][1]["global_latents"].any() and not context[0][1]["global_latents"].any()
    assert torch.equal(positive[0][1]["concat_latent_image"], context[0][1]["concat_latent_image"])
    assert (negative[0][1]["concat_mask"][:, :, 1:15] == 1).all()


def test_levels_and_their_clips_are_counted(pack: Any, state: Any, guided: Any) -> None:
    assert clip_of(pack, state, stride=5)[4].indices[:7] == (0, 5, 10, 15, 20, 25, 30)
    assert [clip_of(pack, guided, number)[4].indices[0] for number in (0, 1)] == [0, 15]
    with pytest.raises(ValueError, match=r"clip number 2, expected 0 to 1: of the 2 clips left at stride 1"):
        clip_of(pack, guided, 2)
    with pytest.raises(ValueError, match=r"clip number 1, expected 0 to 0: of the 2 clips left at stride 1"):
        clip_of(pack, state, 1)
    done = dataclasses.replace(guided, known=frozenset(range(FRAMES)))
    with pytest.raises(ValueError, match="nothing is left to sample at stride 1"):
        clip_of(pack, done)


def test_a_result_that_is_no_clip_is_told(pack: Any, guided: Any) -> None:
    *_, latent, clip = clip_of(pack, guided)
    with pytest.raises(ValueError, match=r"shape \(1, 4, 8, 8\), expected \(1, 4, 16, 8, 8\)"):
        put_back(pack, guided, {"samples": latent["samples"][:, :, 0]}, clip)
    with pytest.raises(ValueError, match="NaN or infinite latents after its last step in the clip of frames 0 to 15"):
        put_back(pack, guided, {"samples": latent["samples"] * torch.nan}, clip)


def test_a_prompt_s_conditioning_is_turned_away(pack: Any, model: Any, guided: Any) -> None:
    *_, latent, _ = clip_of(pack, guided)
    prompt = [[torch.zeros(1, 77, 768), {}]]
    with pytest.raises(ValueError, match=r"from text prompts.*M3DDM Clip Conditioning"):
        k_sampler(model, prompt, prompt, latent, 2.0)
