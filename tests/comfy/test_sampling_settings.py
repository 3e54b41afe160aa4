"""What is saved in ComfyUI: presets, guidance in an interval, reuse between steps, and clips side by side."""

from __future__ import annotations

import dataclasses

import pytest
import torch

FRAMES = 31
GUIDES = (0, 15, 30)
CLIPS = 2


@pytest.fixture(scope="module")
def state(pack, vae):
    """A video whose infill is one wave of two clips."""
    frames = torch.rand((FRAMES, 64, 32, 3), generator=torch.Generator().manual_seed(0))
    prepared, _ = pack.prepare(frames, vae, target="1:1")
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
    return state.with_guides({index: state.start[index] for index in GUIDES})


@pytest.fixture
def settings_of(pack):
    """Execute the settings node with its defaults but for some values."""

    def run(**values):
        schema = pack.nodes["M3DDM_SamplingSettings"].GET_SCHEMA()
        required = {entry.id: entry.default for entry in schema.inputs if not entry.optional}
        return pack.run("M3DDM_SamplingSettings", **{**required, **values})[0]

    return run


def test_a_scheduler_without_levels_for_so_few_steps_is_named_before_anything_is_sampled(pack, model):
    """Of ComfyUI's own, kl_optimal divides by zero at one step; whatever a scheduler gives is looked at."""
    import comfy.samplers

    guider, noise = pack.module("nodes.host.guider"), torch.zeros(1, 4, 16, 4, 4)
    refused = set()
    for scheduler in comfy.samplers.KSampler.SCHEDULERS:
        for steps, denoise in ((1, 1.0), (2, 1.0), (50, 1.0), (1, 0.01), (3, 0.4)):
            asked = pack.settings(sampler="euler", scheduler=scheduler, steps=steps, denoise=denoise)
            try:
                _, sigmas = guider.make_sampler(model, asked, 0, noise)
            except ValueError as error:
                assert f"of the scheduler {scheduler} for steps={steps}" in str(error) and len(str(error)) < 300
                refused.add((scheduler, steps, denoise))
            else:
                assert torch.isfinite(sigmas).all() and sigmas[-1] == 0
    assert ("kl_optimal", 1, 1.0) in refused and not any(steps == 50 for _, steps, _ in refused), refused
    with pytest.raises(ValueError, match=r"got the noise levels .* of the scheduler kl_optimal for steps=1"):
        guider.clip_sampler(model, pack.settings(sampler="euler", scheduler="kl_optimal", steps=1), 0)
    with pytest.raises(ValueError, match=r"got steps=60, denoise=0\.05, the end of 1200 steps"):
        guider.clip_sampler(model, pack.settings(steps=60, denoise=0.05), 0)


@pytest.fixture
def infill(pack, model, state, settings_of):
    """Run the infill node; returns the state that comes out."""

    def run(**values):
        settings = settings_of(**values)
        return pack.run("M3DDM_SampleInfill", model=model, state=state, seed=1, settings=settings)[0]

    return run


@pytest.fixture
def counted(model, monkeypatch):
    """Evaluations by sigma, of a network that answers at once."""
    evaluations = {}

    def answer(network, x, timesteps, context, control=None, transformer_options=None, *, fps):
        sigma = transformer_options["sigmas"][0].item()
        evaluations[sigma] = evaluations.get(sigma, 0) + len(x)
        return 0.1 * x[:, :4] + context.mean((1, 2)).view(-1, 1, 1, 1, 1)

    monkeypatch.setattr(type(model.model.diffusion_model), "forward", answer)
    return evaluations


@pytest.mark.parametrize(("name", "evaluations"), [("reference", 150), ("balanced", 38), ("fast", 16)])
def test_presets_cost_what_the_core_counts(infill, counted, name, evaluations):
    """tests/core/benchmarks/test_evaluations.py has the same numbers."""
    infill(preset=name)
    assert sum(counted.values()) == CLIPS * evaluations


def test_a_preset_sets_the_effort_and_nothing_else(pack, settings_of):
    presets = pack.module("m3ddm_core.sampling.settings")
    mine = {"steps": 3, "sampler": "heun", "context_scale": 3.0, "denoise": 0.5, "clips_per_batch": 4}
    for name, preset in presets.PRESETS.items():
        found = settings_of(preset=name, **mine)
        assert found == preset.changed({key: mine[key] for key in ("context_scale", "denoise", "clips_per_batch")})
        assert (found.guidance.context_scale, found.denoise, found.clips_per_batch) == (3.0, 0.5, 4)


def test_a_workflow_from_before_these_inputs_means_what_it_meant(pack, settings_of):
    schema = pack.nodes["M3DDM_SamplingSettings"].GET_SCHEMA()
    before = ["steps", "sampler", "scheduler", "context_scale", "global_scale", "denoise", "guide_noise"]
    before.append("clips_per_batch")
    assert [entry.id for entry in schema.inputs][: len(before)] == before
    assert all(entry.optional == (entry.id not in before) for entry in schema.inputs)
    assert settings_of() == pack.settings()
    (preset,) = (entry for entry in schema.inputs if entry.id == "preset")
    # What the frontend gives a file that has no value for it; see nodes/web/if_absent.js.
    assert preset.as_dict()["if_absent"] == "custom" and preset.default == "checkpoint"
    defaults = {entry.id: entry.default for entry in schema.inputs}
    assert settings_of(**{**defaults, "preset": "custom"}) == settings_of()


def test_a_new_node_leaves_to_the_checkpoint_what_that_may_say(pack, settings_of):
    schema = pack.nodes["M3DDM_SamplingSettings"].GET_SCHEMA()
    defaults = {entry.id: entry.default for entry in schema.inputs}
    found = settings_of(**{**defaults, "denoise": 0.5, "clips_per_batch": 4, "steps": 9})
    own = {"denoise": 0.5, "clips_per_batch": 4, "guide_noise": 0}
    assert found == pack.module("m3ddm_core.sampling.settings").CheckpointSettings(own)
    advised = pack.settings(steps=2, sampler="ddim", context_scale=1.0)
    assert found.beside(advised) == pack.settings(steps=2, sampler="ddim", context_scale=1.0, **own)


@pytest.fixture
def advised_model(pack, model):
    """The small network as if its file advised two steps of ddim, without guidance."""
    advice = pack.module("m3ddm_core.sampling.advice").Advice
    values = {"steps": 2, "sampler": "ddim", "scheduler": "sgm_uniform", "context_scale": 1.0, "global_scale": 1.0}
    model.model.model_config.advice = advice(pack.settings(**values), 48)
    yield model
    model.model.model_config.advice = advice()


@pytest.mark.parametrize("wired", [True, False])
def test_the_checkpoints_own_are_taken_where_it_is_sampled(pack, advised_model, state, settings_of, counted, wired):
    settings = {"settings": settings_of(preset="checkpoint")} if wired else {}
    pack.run("M3DDM_SampleInfill", model=advised_model, state=state, seed=1, **settings)
    # Two steps, one evaluation each: scales of 1 need no more.
    assert sum(counted.values()) == CLIPS * 2


def test_a_checkpoint_that_says_nothing_is_sampled_as_published(pack, model, state, counted):
    pack.run("M3DDM_SampleInfill", model=model, state=state, seed=1)
    assert sum(counted.values()) == CLIPS * 150


def test_a_video_is_outpainted_on_the_checkpoints_canvas(pack, advised_model, vae, two_scenes, counted):
    finished = pack.outpaint_video(advised_model, vae, two_scenes, target="1:1")
    assert {scene.placement.canvas for scene in finished.video.scenes} == {(48, 48)}
    assert sum(counted.values()) == 2 * 2, "two scenes of a clip each, two steps"


def test_an_interval_that_is_none_is_told_at_the_settings(settings_of):
    with pytest.raises(ValueError, match=r"got guidance from 0\.6 to 0\.5"):
        settings_of(guidance_start=0.6, guidance_end=0.5)


@pytest.mark.parametrize("sampler", ["euler", "pndm"])
def test_guidance_keeps_to_its_interval(model, infill, counted, sampler):
    infill(sampler=sampler, steps=20, guidance_start=0.2, guidance_end=0.5)
    sampling = model.get_model_object("model_sampling")
    first, last = sampling.percent_to_sigma(0.2), sampling.percent_to_sigma(0.5)
    assert {last <= sigma <= first for sigma in counted} == {True, False}
    for sigma, evaluations in counted.items():
        times = 2 if sampler == "pndm" and sigma == max(counted) else 1
        assert evaluations == CLIPS * times * (3 if last <= sigma <= first else 1)


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("euler", [3, 2, 3, 2, 3]),
        ("dpmpp_2m", [3, 2, 3, 2, 3]),
        # Asks twice at every level but the first.
        ("heun", [3, 4, 6, 4, 6]),
    ],
)
def test_every_second_step_goes_without_the_unconditional_branch(infill, counted, sampler, expected):
    infill(sampler=sampler, steps=5, unconditional_every=2)
    assert [counted[sigma] for sigma in sorted(counted, reverse=True)] == [CLIPS * number for number in expected]


@pytest.mark.parametrize("sampler", ["euler_cfg_pp", "dpmpp_2m_cfg_pp"])
def test_samplers_that_read_the_unconditional_answer_find_it_everywhere(pack, model, state, settings_of, sampler):
    """Outside the interval too, and in the steps in which it is estimated."""
    seen = []

    def note(args):
        seen.append((args["uncond_denoised"] != 0).any().item())
        return args["denoised"]

    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(note)
    settings = settings_of(sampler=sampler, steps=6, guidance_start=0.3, guidance_end=0.6, unconditional_every=2)
    latents = pack.run("M3DDM_SampleInfill", model=patched, state=state, seed=1, settings=settings)[0].latents
    assert seen == [True] * (CLIPS * 6)
    assert torch.isfinite(latents).all()


@pytest.mark.parametrize("sampler", ["pndm", "dpmpp_2m", "heun"])
def test_clips_side_by_side_do_not_share_what_is_held(infill, golden, sampler):
    values = {"sampler": sampler, "steps": 4, "guidance_end": 0.7, "unconditional_every": 2}
    alone, together = infill(**values), infill(**values, clips_per_batch=CLIPS)
    assert golden.relative_difference(together.latents, alone.latents) <= 1e-3
    assert torch.equal(infill(**values).latents, alone.latents)


def test_a_run_begun_anew_for_lack_of_memory_holds_nothing(pack, model, infill, golden):
    import comfy.model_management

    values = {"sampler": "euler", "steps": 4, "unconditional_every": 4}
    expected = infill(**values)
    rows = []

    def tight(module, args):
        """The first clip runs out of memory in its second step."""
        rows.append(len(args[0]))
        if sum(rows[:-1]) == 3:
            raise comfy.model_management.OOM_EXCEPTION("CUDA out of memory (made up)")

    handle = model.model.diffusion_model.register_forward_pre_hook(tight)
    try:
        found = infill(**values)
    finally:
        handle.remove()
    assert rows[1] > 1 and rows[2] == 1, "the first clip was not begun anew, one branch after the other"
    assert golden.relative_difference(found.latents, expected.latents) <= 1e-3


@pytest.mark.parametrize(
    ("sampler", "scheduler", "tolerance"),
    [
        ("dpmpp_2m", "karras", 5e-3),
        ("euler", "normal", 5e-3),
        ("ddim", "exponential", 5e-3),
        ("heun", "sgm_uniform", 5e-3),
        ("uni_pc_bh2", "normal", 0.2),
    ],
)
@pytest.mark.usefixtures("with_diffusers")
def test_the_core_samples_as_comfyui_does(pack, golden, state, infill, sampler, scheduler, tolerance):
    """So what ``evaluate`` measures holds in a graph. ComfyUI starts from two thousandths more noise."""
    values = {"steps": 5, "sampler": sampler, "scheduler": scheduler, "guidance_end": 0.7, "unconditional_every": 2}
    config = dataclasses.replace(pack.module("m3ddm_core.unet").M3DDM_CONFIG, block_out_channels=(32, 32, 64, 64))
    sample = pack.module("m3ddm_core.sampling.clip").guided_sampler(
        golden.seeded_network(config),
        pack.settings(**values).guidance,
        pack.module("m3ddm_core.sampling.solvers").make_sampler(sampler, scheduler, steps=5),
    )
    ours = infill(**values)
    with torch.inference_mode():
        core = pack.module("m3ddm_core.outpaint.stages").outpaint_stage(state, 1, sample, seed=1)
    made = [index for index in range(FRAMES) if index not in GUIDES]
    assert golden.relative_difference(ours.latents[made], core.latents[made]) <= tolerance


class Device:
    """A GPU with so much memory free, and a model partly on it."""

    load_device = torch.device("cuda")

    def __init__(self, one_clip, size, loaded):
        self.model = self
        self.one_clip = one_clip
        self.model_size = lambda: size
        self.loaded_size = lambda: loaded

    def memory_required(self, shape):
        assert shape[1:] == (4, 16, 8, 8)
        return shape[0] // 3 * self.one_clip


@pytest.mark.parametrize(
    ("asked", "free", "device", "clips"),
    [
        (0, 1601, Device(100, 500, 500), 10),
        (0, 1601, Device(100, 500, 0), 7),
        (0, 151, Device(100, 500, 500), 1),
        (0, 0, Device(100, 500, 500), 1),
        (0, 10**9, Device(100, 500, 500), 64),
        (3, 0, Device(100, 500, 500), 3),
    ],
)
def test_clips_are_as_many_as_there_is_room_for(pack, monkeypatch, asked, free, device, clips):
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: free)
    monkeypatch.setattr(comfy.model_management, "extra_reserved_memory", lambda: 0)
    settings = pack.settings(clips_per_batch=asked)
    assert pack.module("nodes.host.memory").clips_at_once(device, settings, 8, 8) == clips


def test_what_the_system_needs_is_left_alone(pack, monkeypatch):
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: 1601)
    monkeypatch.setattr(comfy.model_management, "extra_reserved_memory", lambda: 600)
    settings = pack.settings(clips_per_batch=0)
    assert pack.module("nodes.host.memory").clips_at_once(Device(100, 0, 0), settings, 8, 8) == 6


def test_the_number_of_clips_chosen_is_the_number_sampled(pack, model, infill, monkeypatch, counted):
    import comfy.model_management

    sizes = []
    stage = pack.module("nodes.sample").outpaint_stage

    def note(*args, clips_per_batch, **kwargs):
        sizes.append(clips_per_batch)
        return stage(*args, clips_per_batch=clips_per_batch, **kwargs)

    monkeypatch.setattr(pack.module("nodes.sample"), "outpaint_stage", note)
    infill(steps=2, clips_per_batch=0)
    monkeypatch.setattr(comfy.model_management, "is_device_cpu", lambda device: False)
    infill(steps=2, clips_per_batch=0)
    assert sizes[0] == 1, "on a CPU one clip at a time"
    assert sizes[1] > 1
