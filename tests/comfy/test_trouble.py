"""What bad input and bad luck get: an error that owns up, before any sampling where that can be."""

from __future__ import annotations

import dataclasses

import pytest
import torch


@pytest.fixture
def frames():
    draw = torch.Generator().manual_seed(0)
    return torch.rand((20, 32, 16, 3), generator=draw)


@pytest.fixture
def prepared(pack, vae, frames):
    """Canvas, mask, placement and global frames of a small video."""
    return pack.prepare(frames, vae, target="1:1")[0]


@pytest.fixture
def state(pack, vae, prepared):
    return pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)[0]


def settings(pack, **values):
    return pack.settings(**{"steps": 2, **values})


def test_mask_of_another_size(pack, vae, prepared):
    prepared["mask"] = torch.ones(1, 16, 16)
    with pytest.raises(ValueError, match=r"mask of shape \(1, 16, 16\) for a canvas of 20 frames of 32x32"):
        pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)


def test_mask_of_another_count(pack, vae, prepared):
    prepared["mask"] = prepared["mask"].expand(7, -1, -1)
    with pytest.raises(ValueError, match=r"\(7, 32, 32\)"):
        pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)


def test_global_frames_of_another_video(pack, vae, prepared, frames):
    (prepared["global_frames"],) = pack.run("M3DDM_EncodeGlobalFrames", frames=frames[:9], vae=vae, count=2)
    with pytest.raises(ValueError, match="video of 9 frames for a canvas of 20"):
        pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)


def test_placement_of_another_canvas(pack, vae, prepared, frames):
    prepared["placement"] = pack.edge_mask(frames[:3], target="1:1")[2]
    with pytest.raises(ValueError, match="placement for 3 frames"):
        pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)


def test_canvas_not_in_eights(pack, vae, prepared):
    prepared["canvas"] = prepared["canvas"][:, :30]
    with pytest.raises(ValueError, match="on a canvas of 32x32 and a canvas of 20 frames of 32x30"):
        pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
    del prepared["placement"]
    with pytest.raises(ValueError, match="32x30 pixels, expected sides that are multiples of 8"):
        pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)


def test_empty_video(pack, vae):
    with pytest.raises(ValueError, match=r"\(0, 32, 32, 3\)"):
        pack.run("M3DDM_EncodeGlobalFrames", frames=torch.rand(0, 32, 32, 3), vae=vae, count=2)


@pytest.mark.parametrize("shape", [(16, 4, 4), (4, 5, 4, 4)], ids=["Flux", "Wan"])
def test_vae_of_another_latent_space(pack, prepared, shape):
    class OtherVAE:
        def encode(self, pixels):
            return torch.zeros(len(pixels), *shape) if len(shape) == 3 else torch.zeros(1, *shape)

    with pytest.raises(ValueError, match=r"needs a Stable Diffusion 1\.5 VAE"):
        pack.run("M3DDM_EncodeContext", vae=OtherVAE(), fps=25.0, **prepared)


@pytest.mark.parametrize(("family", "warns"), [("SDXL", True), ("SD15", False)])
def test_sdxl_is_recognised_by_its_statistics(pack, prepared, caplog, family, warns):
    import comfy.latent_formats

    family = getattr(comfy.latent_formats, family)()

    class FamilyVAE:
        """Latents that the family's preview matrix shows as the picture itself."""

        def encode(self, pixels):
            small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)
            matrix = torch.linalg.pinv(torch.tensor(family.latent_rgb_factors)).T
            return torch.einsum("n c h w, l c -> n l h w", small, matrix) / 0.18215

    pack.run("M3DDM_EncodeContext", vae=FamilyVAE(), fps=25.0, **prepared)
    assert ("looks like one of SDXL" in caplog.text) == warns


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("20", "frame number 20 for a video of 20 frames"),
        ("-21", "frame number -21"),
        ("first", "'first'"),
        ("", "''"),
        ("0,1", "1 guide images for 2 frame numbers"),
    ],
)
def test_guide_frame_numbers(pack, vae, state, numbers, message):
    with pytest.raises(ValueError, match=message):
        pack.run("M3DDM_GuideFrames", state=state, images=torch.rand(1, 32, 32, 3), vae=vae, frame_numbers=numbers)


def test_guide_frames_named_twice(pack, vae, state):
    with pytest.raises(ValueError, match="name a frame twice"):
        pack.run("M3DDM_GuideFrames", state=state, images=torch.rand(2, 32, 32, 3), vae=vae, frame_numbers="19,-1")


def test_guide_frames_of_another_shape(pack, vae, state):
    with pytest.raises(ValueError, match="guide images of 64x32, expected the shape of the finished frame, 32x32"):
        pack.run("M3DDM_GuideFrames", state=state, images=torch.rand(1, 32, 64, 3), vae=vae, frame_numbers="0")


def test_our_model_in_a_plain_ksampler_names_the_right_node(pack, model):
    import nodes

    empty = [[torch.zeros(1, 77, 768), {}]]
    with torch.inference_mode(), pytest.raises(ValueError, match="M3DDM Sample Infill"):
        nodes.common_ksampler(model, 0, 2, 7.0, "euler", "normal", empty, empty, {"samples": torch.zeros(1, 4, 8, 8)})


def test_another_model_in_our_sampler(pack, state):
    class Patcher:
        model = object()

    with pytest.raises(ValueError, match="kind object, expected M3DDM"):
        pack.run("M3DDM_SampleInfill", model=Patcher(), state=state, seed=0)


def test_nan_is_named_with_clip_and_step_and_not_kept(pack, model, state):
    steps_seen = []

    def poison(args):
        steps_seen.append(args["sigma"])
        return args["denoised"] * (float("nan") if len(steps_seen) == 2 else 1.0)

    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(poison)
    with pytest.raises(ValueError, match=r"step 2 of 2 in the clip of frames 0 to 15"):
        pack.run("M3DDM_SampleInfill", model=patched, state=state, seed=0, settings=settings(pack, sampler="euler"))
    assert not state.known


@pytest.mark.parametrize("batch", [1, 2])
def test_out_of_memory_is_tried_again_in_smaller_parts(pack, model, state, batch):
    """The first try meets a full device; the second, one clip and one branch at a time, gets through."""
    import comfy.model_management

    rows = []

    def tight(module, args):
        rows.append(len(args[0]))
        if rows[-1] > 1:
            raise comfy.model_management.OOM_EXCEPTION("CUDA out of memory (made up)")

    wide = dataclasses.replace(state).with_guides({0: state.start[0], 15: state.start[15]})
    handle = model.model.diffusion_model.register_forward_pre_hook(tight)
    try:
        done = pack.run(
            "M3DDM_SampleInfill", model=model, state=wide, seed=0, settings=settings(pack, clips_per_batch=batch)
        )[0]
    finally:
        handle.remove()
    assert max(rows) > 1 and rows[-1] == 1
    assert len(done.known) == 20


def test_out_of_memory_for_good_says_what_to_lower(pack, model, state):
    import comfy.model_management

    def full(module, args):
        raise comfy.model_management.OOM_EXCEPTION("CUDA out of memory (made up)")

    handle = model.model.diffusion_model.register_forward_pre_hook(full)
    try:
        with pytest.raises(comfy.model_management.OOM_EXCEPTION, match=r"canvas of 32x32.*lower canvas_size"):
            pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=settings(pack))
    finally:
        handle.remove()


def test_cancel_stops_within_a_block_and_the_next_run_succeeds(pack, model, state):
    import comfy.model_management

    unet = model.model.diffusion_model
    entered = []
    handles = [
        unet.down_blocks[1].register_forward_pre_hook(
            lambda module, args: comfy.model_management.interrupt_current_processing()
        ),
        unet.mid_block.register_forward_pre_hook(lambda module, args: entered.append(1)),
    ]
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=settings(pack))
    finally:
        for handle in handles:
            handle.remove()
        comfy.model_management.interrupt_current_processing(False)
    assert not entered, "the network went on after it was told to stop"
    done = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=settings(pack))[0]
    assert len(done.known) == 20


def test_nothing_to_outpaint_passes_frames_through(pack, model, vae, frames, caplog):
    prepared, used = pack.prepare(frames, vae, target="custom ratio", custom_ratio="1:2")
    assert "nothing to outpaint" in caplog.text
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
    never = model.model.diffusion_model.register_forward_pre_hook(lambda *_: pytest.fail("the network was run"))
    state, latent, unknown = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0)
    never.remove()
    assert not unknown.any()
    result, provenance = pack.run(
        "M3DDM_Composite",
        source=used,
        generated=vae.decode(latent["samples"]),
        placement=prepared["placement"],
        feather=8,
        colour_match="none",
        resampling="lanczos",
    )
    assert torch.equal(result, frames) and not provenance.any()


def test_one_frame_works(pack, model, vae, frames):
    prepared, _ = pack.prepare(frames[:1], vae, target="1:1")
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
    latent = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=settings(pack))[1]
    assert latent["samples"].shape == (1, 4, 4, 4)


def test_wrong_kind_of_file_is_refused_by_the_loader(pack):
    from pathlib import Path

    import folder_paths
    from safetensors.torch import save_file

    path = Path(folder_paths.get_folder_paths("diffusion_models")[0]) / "some_vae.safetensors"
    save_file({"first_stage_model.encoder.conv_in.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(ValueError, match=r"(?s)some_vae\.safetensors: .*It looks like a VAE"):
        pack.run("M3DDM_LoadCheckpoint", checkpoint=path.name, weight_dtype="default")


def test_nothing_is_left_loaded_wrong_after_an_error(pack, model, state):
    """A failed run leaves the MODEL usable and gives the same numbers as one that never failed."""
    clean = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=3, settings=settings(pack))[1]["samples"]

    def fail(module, args):
        raise RuntimeError("made up")

    handle = model.model.diffusion_model.mid_block.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="made up"):
        pack.run("M3DDM_SampleInfill", model=model, state=state, seed=3, settings=settings(pack))
    handle.remove()
    again = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=3, settings=settings(pack))[1]["samples"]
    assert torch.equal(clean, again)


def test_the_button_for_stopping_is_heeded_while_canvases_and_composites_are_made(pack, frames, prepared, vae):
    """Before each part of the frames: of a long video, and of one frame that takes minutes, alike."""
    import comfy.model_management

    placement, canvas = prepared["placement"], prepared["canvas"]
    blending = {"feather": 8, "colour_match": "none", "resampling": "lanczos"}
    ways = {
        "Edge Mask": lambda: pack.edge_mask(frames, target="1:1"),
        "Composite": lambda: pack.run(
            "M3DDM_Composite", source=frames, generated=canvas, placement=placement, **blending
        ),
        "Second Pass": lambda: pack.run(
            "M3DDM_SecondPass",
            source=frames,
            generated=canvas,
            placement=placement,
            canvas_size=64,
            canvas_shape="target",
        ),
        "Encode Global Frames": lambda: pack.run("M3DDM_EncodeGlobalFrames", frames=frames, vae=vae, count=2),
        "Encode Context": lambda: pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared),
    }
    for name, run in ways.items():
        comfy.model_management.interrupt_current_processing()
        try:
            with pytest.raises(comfy.model_management.InterruptProcessingException):
                run()
                pytest.fail(f"{name} went on")
        finally:
            comfy.model_management.interrupt_current_processing(False)
        run()


def test_more_than_the_memory_is_refused_before_anything_is_sampled(pack, frames, monkeypatch):
    limits = pack.module("m3ddm_core.canvas.limits")
    monkeypatch.setattr(limits, "memory_of_machine", lambda: 10**6)
    with pytest.raises(ValueError, match=r"got 20 frames of 200x100, all in memory at once, .* M3DDM Outpaint Video"):
        pack.edge_mask(frames, target="pixels", left=184, bottom=68)
    with pytest.raises(ValueError, match=r"got 20 frames of 200x100, all in memory at once"):
        pack.run("M3DDM_MoveFrames", images=frames, path="0: 0, 0", width=200, height=100)


def test_a_target_that_no_encoder_takes_is_refused_in_every_node(pack, frames, outpaint, components):
    for run in (pack.edge_mask, lambda frames, **asked: outpaint(components(frames), **asked)):
        for asked in ({"left": 16370}, dict.fromkeys(("left", "top", "right", "bottom"), 16384)):
            with pytest.raises(ValueError, match=r"got a target of \d+x\d+, expected at most 16384 pixels a side"):
                run(frames, target="pixels", **asked)
