"""Parity with the published code, on any folder of golden files: ``pytest tests/core -k golden --golden DIR``."""

from __future__ import annotations

import json

import pytest
import torch

from m3ddm_core.canvas.build import make_canvas
from m3ddm_core.canvas.placement import place
from m3ddm_core.outpaint.encode import encode_context, encode_global_frames
from m3ddm_core.outpaint.plan import plan_video
from m3ddm_core.outpaint.stages import outpaint_video
from m3ddm_core.sampling.clip import ClipConditions
from m3ddm_core.sampling.pndm import pndm_timesteps, reference_sampler
from m3ddm_core.sampling.schedule import signal_shares
from tests.helpers.golden_files import GoldenFile, files, helper, relative_difference

pytestmark = pytest.mark.golden

FORWARD_TOLERANCE = 1e-4
LOOP_TOLERANCE = 1e-3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, prefix in (
        ("forward_file", "unet_forward"),
        ("clip_file", "clip_sampling"),
        ("video_file", "video_"),
        ("plans_file", "plans"),
    ):
        if fixture in metafunc.fixturenames:
            paths = files(metafunc.config.getoption("--golden"))[prefix]
            metafunc.parametrize(fixture, paths, ids=lambda path: path.stem)


def test_golden_folder_has_something_to_check(request):
    assert any(files(request.config.getoption("--golden")).values())


@torch.inference_mode()
def test_golden_forward(forward_file):
    golden = GoldenFile(forward_file)
    network = golden.network()

    def check(name, timestep, fps, global_latents):
        sample = golden[f"{name}.sample"]
        b = sample.shape[0]
        tokens = network.encode_global(global_latents)
        if f"{name}.global_tokens" in golden.names:
            expected = golden[f"{name}.global_tokens"]
            assert relative_difference(tokens[:, : expected.shape[1]], expected) <= FORWARD_TOLERANCE
        output = network(sample, torch.full((b,), timestep), tokens, torch.full((b,), fps))
        assert relative_difference(output, golden[f"{name}.output"]) <= FORWARD_TOLERANCE

    for case in golden.metadata["cases"]:
        name = case["case"]
        check(name, case["timestep"], case["fps"], golden[f"{name}.global_latents"])
    if "zero_global.sample" in golden.names:
        b = golden["zero_global.sample"].shape[0]
        case = golden.metadata["zero_global"]
        check("zero_global", case["timestep"], case["fps"], torch.zeros(b, 16, 4, 32, 32))


@torch.inference_mode()
def test_golden_clip(clip_file):
    golden = GoldenFile(clip_file)
    network = golden.network()
    for case in golden.metadata["cases"]:
        name = case["case"]
        masked = golden[f"{name}.masked_latents"].clone()
        f, _, h, w = masked.shape
        blank = golden[f"{name}.blank_latent"].expand(f, -1, -1, -1).clone()
        mask = golden[f"{name}.mask"].float().expand(f, 1, h, w).clone()
        full_mask = torch.ones_like(mask)
        for guide in case["guides"]:
            masked[guide] = blank[guide] = golden[f"{name}.guide.{guide}"][0]
            mask[guide] = full_mask[guide] = 0
        conditions = ClipConditions(
            masked_video=torch.cat([masked, mask], dim=1).transpose(0, 1)[None],
            blank_video=torch.cat([blank, full_mask], dim=1).transpose(0, 1)[None],
            global_latents=golden[f"{name}.global_latents"],
            fps=int(case["fps"]),
        )
        noise = golden[f"{name}.noise"]
        if case["init_from_frames"]:
            start = golden[f"{name}.init_latents"].transpose(0, 1)[None]
        else:
            # The loop then starts from the noise alone; noising the noise to t gives it back for this start.
            start = unnoised(noise, case["steps"])
        sample = reference_sampler(
            network,
            steps=case["steps"],
            context_scale=case["context_scale"],
            global_scale=case["global_scale"],
        )
        output = sample(conditions, start, noise, lambda *_: None)
        assert relative_difference(output, golden[f"{name}.output"]) <= LOOP_TOLERANCE, f"case {name}"


def unnoised(noise: torch.Tensor, steps: int) -> torch.Tensor:
    """Start latents that noised to the first timestep equal the noise itself."""
    signal = signal_shares()[pndm_timesteps(steps)[0]]
    return noise * (1 - (1 - signal).sqrt()) / signal.sqrt()


@torch.inference_mode()
def test_golden_video(video_file):
    golden = GoldenFile(video_file)
    reference_vae = helper("reference_vae")
    frames = golden["frames"].float() / 255
    width, height = (int(side) for side in golden.metadata["canvas"].split("x"))
    placement = place(
        tuple(int(side) for side in golden.metadata["source"].split("x")),
        ratio=(width, height),
        canvas_size=max(width, height),
    )
    assert placement.canvas == (width, height)
    canvas, mask = make_canvas(frames, placement, fill="telea")
    sampled = [0, len(frames) // 2, len(frames) - 1]
    assert torch.equal((canvas[sampled] * 255).round().to(torch.uint8), golden["telea"])
    assert torch.equal(mask[0].to(torch.uint8), golden["mask"])

    global_frames = encode_global_frames(frames, reference_vae.encode, count=len(golden["global_indices"]))
    assert relative_difference(global_frames.latents, golden["global_latents"]) <= FORWARD_TOLERANCE
    state = encode_context(canvas, mask, global_frames, reference_vae.encode, golden.metadata["fps"], placement)
    sample = reference_sampler(
        golden.network(),
        steps=golden.metadata["steps"],
        context_scale=golden.metadata["context_scale"],
        global_scale=golden.metadata["global_scale"],
    )
    state = outpaint_video(state, sample, seed=golden.metadata["seed"])
    assert state.known == frozenset(range(len(frames)))
    assert relative_difference(state.latents, golden["latents"]) <= LOOP_TOLERANCE


def test_golden_plans(plans_file):
    for frames, published in json.loads(plans_file.read_text()).items():
        ours = [clip for stage in plan_video(int(frames)) for wave in stage for clip in wave]
        ours = [(clip.stride, list(clip.indices), [int(k) for k in clip.known]) for clip in ours]
        expected = [(c["stride"], c["indices"], c["known"]) for c in published if not all(c["known"])]
        assert ours == expected, f"{frames} frames"
