"""Patches of ComfyUI's own nodes on our MODEL: each does what it is for, or is named, once, as doing nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

STEPS, SEED = 4, 1


@pytest.fixture
def sample(pack: Any, small_state: Any) -> Callable[..., torch.Tensor]:
    """The latents (frames, 4, h, w) that the infill node makes with a model."""

    def run(model: Any, state: Any = small_state, **settings: Any) -> torch.Tensor:
        asked = pack.settings(**{"steps": STEPS, "sampler": "euler", **settings})
        return pack.run("M3DDM_SampleInfill", model=model, state=state, seed=SEED, settings=asked)[1]["samples"]

    return run


def patched(node: str, model: Any, **values: Any) -> Any:
    """The model as one of ComfyUI's nodes gives it."""
    import importlib

    modules = {
        "RescaleCFG": "nodes_model_advanced",
        "VideoLinearCFGGuidance": "nodes_video_model",
        "VideoTriangleCFGGuidance": "nodes_video_model",
        "TCFG": "nodes_tcfg",
        "APG": "nodes_apg",
        "FreSca": "nodes_fresca",
        "EasyCacheNode": "nodes_easycache",
        "LazyCacheNode": "nodes_easycache",
        "SelfAttentionGuidance": "nodes_sag",
        "PerturbedAttentionGuidance": "nodes_pag",
        "HyperTile": "nodes_hypertile",
        "DifferentialDiffusion": "nodes_differential_diffusion",
        "RenormCFG": "nodes_lumina2",
    }
    made = getattr(importlib.import_module(f"comfy_extras.{modules[node]}"), node)
    answer = made.execute(model, **values) if hasattr(made, "execute") else made().patch(model, **values)
    return getattr(answer, "args", answer)[0]


HEEDED = {
    "RescaleCFG": {"multiplier": 0.7},
    "VideoLinearCFGGuidance": {"min_cfg": 1.0},
    "VideoTriangleCFGGuidance": {"min_cfg": 1.0},
    "TCFG": {},
    "APG": {"eta": 0.5, "norm_threshold": 5.0, "momentum": -0.5},
    "FreSca": {"scale_low": 1.0, "scale_high": 1.5, "freq_cutoff": 1},
}
NEUTRAL = {
    "RescaleCFG": {"multiplier": 0.0},
    "VideoLinearCFGGuidance": {"min_cfg": 4.0},
    "VideoTriangleCFGGuidance": {"min_cfg": 4.0},
    "FreSca": {"scale_low": 1.0, "scale_high": 1.0, "freq_cutoff": 1},
}
NAMED = {
    "SelfAttentionGuidance": {"scale": 0.5, "blur_sigma": 2.0},
    "PerturbedAttentionGuidance": {"scale": 3.0},
    "HyperTile": {"tile_size": 256, "swap_size": 2, "max_depth": 0, "scale_depth": False},
    "DifferentialDiffusion": {},
    "RenormCFG": {"cfg_trunc": 100.0, "renorm_cfg": 1.0},
}


@pytest.mark.parametrize("node", HEEDED)
def test_what_acts_on_guidance_is_heeded(sample: Any, model: Any, node: str, caplog: Any) -> None:
    plain, changed = sample(model), sample(patched(node, model, **HEEDED[node]))
    assert torch.isfinite(changed).all()
    assert (changed - plain).norm() > 1e-3 * plain.norm()
    assert "has no effect" not in caplog.text


@pytest.mark.parametrize("node", NEUTRAL)
def test_with_neutral_values_it_changes_nothing(sample: Any, model: Any, node: str) -> None:
    """What the functions are given as positive, negative and scale makes up M3DDM's guidance again."""
    plain = sample(model)
    torch.testing.assert_close(
        sample(patched(node, model, **NEUTRAL[node])), plain, rtol=0, atol=1e-3 * plain.abs().max()
    )


@pytest.mark.parametrize("node", NAMED)
def test_what_cannot_be_heeded_is_named_once(sample: Any, model: Any, node: str, caplog: Any) -> None:
    plain = sample(model)
    assert "has no effect" not in caplog.text
    changed = sample(patched(node, model, **NAMED[node]))
    torch.testing.assert_close(changed, plain, rtol=0, atol=1e-4 * plain.abs().max())
    said = [record.message for record in caplog.records if "has no effect" in record.message]
    assert len([line for line in said if f"the patch {node} has no effect" in line]) == len(said) > 0
    assert len(said) == len(set(said)) <= 2
    caplog.clear()
    sample(patched(node, model, **NAMED[node]))
    assert f"the patch {node} has no effect" in caplog.text, "once in each run"


def test_the_linear_scale_goes_from_the_first_frame_to_the_last(sample: Any, model: Any) -> None:
    """With one step only guidance differs: at the last frame it is as strong as without the patch."""
    linear = patched("VideoLinearCFGGuidance", model, min_cfg=1.0)
    plain, changed = sample(model, steps=1, denoise=0.3), sample(linear, steps=1, denoise=0.3)
    off = (changed - plain).flatten(1).norm(dim=1)
    torch.testing.assert_close(changed[-1], plain[-1], rtol=0, atol=1e-4 * plain.abs().max())
    assert (off[:-1] > 10 * off[-1]).all() and off[0] > 3 * off[12]


def test_clips_do_not_change_one_another(pack: Any, sample: Any, model: Any) -> None:
    state = pack.noise_state(31).with_guides({index: torch.full((4, 8, 8), 0.1 * index) for index in (0, 15, 30)})
    for node in ("APG", "VideoLinearCFGGuidance"):
        alone, together = (
            sample(patched(node, model, **HEEDED[node]), state, clips_per_batch=count) for count in (1, 2)
        )
        assert torch.equal(alone, together), node


@pytest.mark.parametrize(("context_scale", "global_scale"), [(1.0, 4.0), (4.0, 4.0), (2.0, 0.0)])
def test_other_scales_make_pairs_too(sample: Any, model: Any, context_scale: float, global_scale: float) -> None:
    scales = {"context_scale": context_scale, "global_scale": global_scale}
    plain, neutral = sample(model, **scales), sample(patched("RescaleCFG", model, multiplier=0.0), **scales)
    torch.testing.assert_close(neutral, plain, rtol=0, atol=1e-3 * plain.abs().max())


def test_scales_that_make_no_pair_are_named(sample: Any, model: Any, caplog: Any) -> None:
    scales = {"context_scale": 2.0, "global_scale": 1.0}
    plain, changed = sample(model, **scales), sample(patched("RescaleCFG", model, multiplier=0.7), **scales)
    assert torch.equal(changed, plain)
    assert "RescaleCFG has no effect on this MODEL: it needs a global_scale other than 1" in caplog.text
    caplog.clear()
    sample(patched("RescaleCFG", model, multiplier=0.7), context_scale=1.0, global_scale=1.0)
    assert "has no effect" not in caplog.text, "without guidance there is none to change, as in ComfyUI"


@pytest.mark.parametrize("node", ["EasyCacheNode", "LazyCacheNode"])
def test_a_cache_saves_evaluations(sample: Any, model: Any, node: str) -> None:
    values = {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
    counts, results = [], []
    for candidate in (model, patched(node, model, **values)):
        calls = []
        inner = model.model.diffusion_model.conv_in
        handle = inner.register_forward_pre_hook(lambda module, args, calls=calls: calls.append(1))
        results.append(sample(candidate, steps=8))
        handle.remove()
        counts.append(len(calls))
    assert counts[0] == 8 and counts[1] <= 6, counts
    assert torch.isfinite(results[1]).all() and not torch.equal(*results)


def test_wrappers_of_the_network_see_what_they_see_elsewhere(sample: Any, model: Any) -> None:
    import comfy.patcher_extension

    seen = []

    def wrapper(executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append((args[0].shape[1:], args[-1]["sigmas"].shape, kwargs))
        return executor(*args, **kwargs)

    wrapped = model.clone()
    wrapped.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "test", wrapper)
    assert torch.equal(sample(wrapped), sample(model))
    assert seen == [((9, 16, 8, 8), (1,), {})] * STEPS
