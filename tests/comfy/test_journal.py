"""The journal in ComfyUI: a sampler node that was stopped goes on, and no two models share a clip."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

STEPS = {"steps": 2, "context_scale": 1.0, "global_scale": 1.0}


class Stopped(Exception):
    pass


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """ComfyUI's user folder of its own, with the journal switched on as it usually is."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    monkeypatch.delenv("M3DDM_JOURNAL")
    return tmp_path / "user" / "__m3ddm" / "journal"


@pytest.fixture
def state(pack):
    """Frames 0, 15 and 30 of 31 are known: two clips."""
    state = pack.noise_state(31)
    return state.with_guides({index: torch.full((4, 8, 8), 0.1 * index) for index in (0, 15, 30)})


@pytest.fixture
def infill(pack, state):
    """Run the infill node; returns its latents and how often the network was asked."""

    def run(model, *, stop_after=None, seed=1, **settings):
        calls = []

        def count(module, arguments):
            if len(calls) == stop_after:
                raise Stopped
            calls.append(1)

        handle = model.model.diffusion_model.register_forward_pre_hook(count)
        try:
            settings = pack.settings(**{**STEPS, **settings})
            outputs = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=seed, settings=settings)
        finally:
            handle.remove()
        return outputs[1]["samples"], len(calls)

    return run


def with_lora(model, strength, value=0.01):
    """A patched clone, as Load LoRA makes it."""
    from comfy.weight_adapter.lora import LoRAAdapter

    key = "diffusion_model.fps_embedding.linear_1.weight"
    shape = model.model.state_dict()[key].shape
    up, down = torch.full((shape[0], 1), value), torch.ones(1, shape[1:].numel())
    patched = model.clone()
    assert patched.add_patches({key: LoRAAdapter(set(), (up, down, 1.0, None, None, None))}, strength) == [key]
    return patched


def test_a_level_that_was_stopped_ends_in_the_same_bytes(infill, model, folder, monkeypatch, caplog) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("M3DDM_JOURNAL", "0")
    whole, calls = infill(model)
    assert calls == 4 and not folder.exists()
    monkeypatch.delenv("M3DDM_JOURNAL")
    with pytest.raises(Stopped):
        infill(model, stop_after=3)
    assert len(list(folder.iterdir())) == 1 and "taken from the journal" not in caplog.text
    again, calls = infill(model)
    assert calls == 2 and torch.equal(again, whole)
    assert "M3DDM infill: 1 clips were taken from the journal" in caplog.text
    done, calls = infill(model)
    assert calls == 0 and torch.equal(done, whole)


def test_a_model_loaded_anew_goes_on_too(pack, infill, model, tiny_checkpoint, folder) -> None:
    whole, _ = infill(model)
    (other,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=tiny_checkpoint, weight_dtype="fp32")
    assert infill(other)[1] == 0 and torch.equal(infill(other)[0], whole)


def test_another_seed_setting_or_dtype_takes_nothing(pack, infill, model, tiny_checkpoint, folder) -> None:
    infill(model)
    assert infill(model, seed=2)[1] == 4
    assert infill(model, sampler="euler")[1] == 4
    assert infill(model, clips_per_batch=2)[1] == 0, "how many at once decides nothing"
    (half,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=tiny_checkpoint, weight_dtype="bf16")
    assert infill(half)[1] == 4


def test_weights_that_differ_take_nothing(pack, golden, infill, model, tiny_checkpoint, folder) -> None:
    import folder_paths

    infill(model)
    path = Path(folder_paths.get_full_path("diffusion_models", tiny_checkpoint))
    copy, other = path.with_name("m3ddm_copy.safetensors"), path.with_name("m3ddm_other.safetensors")
    shutil.copyfile(path, copy)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    other.write_bytes(content)
    asked = []
    for file in (copy, other):
        (loaded,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=file.name, weight_dtype="fp32")
        asked.append(infill(loaded)[1])
        file.unlink()
    assert asked == [0, 4], "by what is in the file, not by its name"


def test_a_file_that_was_replaced_since_then_keeps_nothing(pack, infill, tiny_checkpoint, folder, caplog) -> None:
    import folder_paths

    path = Path(folder_paths.get_full_path("diffusion_models", tiny_checkpoint))
    copy = path.with_name("m3ddm_copy.safetensors")
    shutil.copyfile(path, copy)
    (loaded,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=copy.name, weight_dtype="fp32")
    copy.unlink()
    assert infill(loaded)[1] == 4 and not folder.exists()
    assert "m3ddm_copy.safetensors is no longer the file that was loaded" in caplog.text


def test_loras_are_told_apart(infill, model, folder) -> None:
    made = [model, with_lora(model, 1.0), with_lora(model, 0.5), with_lora(model, 1.0, value=0.02)]
    results = []
    for patched in made:
        latents, calls = infill(patched)
        assert calls == 4
        results.append(latents)
    for patched, latents in zip([model.clone(), with_lora(model, 1.0)], results, strict=False):
        again, calls = infill(patched)
        assert calls == 0 and torch.equal(again, latents)


def test_a_tiled_model_is_another_model(pack, infill, model, folder) -> None:
    def tiled(overlap):
        return pack.run("M3DDM_TiledModel", model=model, tile_size=64, overlap=overlap)[0]

    assert [infill(patched)[1] for patched in (model, tiled(16), tiled(32), tiled(16))] == [4, 4, 4, 0]


def test_a_patch_that_does_not_show_what_is_in_it_keeps_nothing(infill, model, folder, caplog) -> None:
    draw = torch.Generator()
    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(lambda args: args["denoised"] + 0 * draw.initial_seed())
    assert [infill(patched)[1] for _ in range(2)] == [4, 4] and not folder.exists()
    assert "finished clips are not kept" in caplog.text and "Generator does not show what is in it" in caplog.text


def test_it_is_switched_off_and_emptied_by_a_size_of_nothing(infill, model, folder, monkeypatch, caplog) -> None:
    infill(model)
    assert folder.exists()
    monkeypatch.setenv("M3DDM_JOURNAL", "0")
    assert infill(model)[1] == 4 and not folder.exists()
    monkeypatch.setenv("M3DDM_JOURNAL", "much")
    infill(model)
    assert folder.exists() and "got M3DDM_JOURNAL='much', expected gigabytes" in caplog.text


def test_its_size_is_bounded(pack, monkeypatch, folder) -> None:
    journals = pack.module("nodes.host.journal")
    monkeypatch.setenv("M3DDM_JOURNAL", "0.5")
    with journals.open_journal("test") as journal:
        assert (journal.most_bytes, journal.folder) == (500_000_000, folder)
    monkeypatch.delenv("M3DDM_JOURNAL")
    with journals.open_journal("test") as journal:
        assert journal.most_bytes == 4_000_000_000


def test_the_video_node_goes_on(pack, model, vae, two_scenes, folder, monkeypatch) -> None:
    settings = pack.settings(**STEPS)
    calls = []

    def run():
        calls.clear()
        finished = pack.outpaint_video(model, vae, two_scenes, settings=settings, canvas_size=64)
        return torch.stack(list(finished.video.frames()))

    def count(module, arguments):
        calls.append(1)
        if stop and len(calls) > 3:
            raise Stopped

    handle = model.model.diffusion_model.register_forward_pre_hook(count)
    try:
        monkeypatch.setenv("M3DDM_JOURNAL", "0")
        stop = False
        whole = run()
        monkeypatch.delenv("M3DDM_JOURNAL")
        assert len(calls) == 4
        stop = True
        with pytest.raises(Stopped):
            run()
        stop = False
        assert torch.equal(run(), whole) and len(calls) == 2
    finally:
        handle.remove()
