"""The demonstration's files, picked where a user would pick them, with nothing copied."""

from __future__ import annotations

from typing import Any

import torch

NETWORK, VAE = "m3ddm_demo.safetensors", "m3ddm_demo_vae.safetensors"


def test_the_loaders_list_and_load_them(pack: Any) -> None:
    (checkpoint,) = (i for i in pack.nodes["M3DDM_LoadCheckpoint"].GET_SCHEMA().inputs if i.id == "checkpoint")
    assert checkpoint.options.count(NETWORK) == 1 and VAE not in checkpoint.options
    (model,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=NETWORK, weight_dtype="default")
    assert model.model.model_type.name == "V_PREDICTION"
    advice = pack.module("nodes.host.model").advice_of(model)
    assert advice.canvas_size == 128 and (advice.sampling.steps, advice.sampling.sampler) == (2, "ddim")

    (vae_name,) = pack.nodes["M3DDM_LoadVAE"].GET_SCHEMA().inputs
    assert vae_name.options.count(VAE) == 1 and vae_name.default == VAE and NETWORK not in vae_name.options
    (vae,) = pack.run("M3DDM_LoadVAE", vae_name=VAE)
    assert_gives_back_a_gradient(vae)
    load, arguments = vae.patcher.cached_patcher_init
    assert load(*arguments).model is not vae.patcher.model, "for another device it is loaded again"


def test_a_file_with_advice_that_cannot_be_followed_is_named(pack: Any, tiny_checkpoint: str) -> None:
    from pathlib import Path

    import folder_paths
    import pytest

    folder = Path(folder_paths.get_folder_paths("diffusion_models")[0])
    checkpoint = pack.module("m3ddm_core.checkpoint")
    good = checkpoint.read_checkpoint(folder / tiny_checkpoint)
    bad = folder / "m3ddm_bad_advice.safetensors"
    checkpoint.save_checkpoint(bad, good.state_dict, good.config, {"canvas_size": "100"})
    try:
        with pytest.raises(checkpoint.CheckpointError, match=r"m3ddm_bad_advice\.safetensors: got canvas_size = '100'"):
            pack.run("M3DDM_LoadCheckpoint", checkpoint=bad.name, weight_dtype="default")
    finally:
        bad.unlink()


def assert_gives_back_a_gradient(vae: Any) -> None:
    """Through the VAE and back a plain picture stays what it was."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    picture = torch.stack([x, y, 1 - x], dim=-1)[None]
    with torch.inference_mode():
        error = (vae.decode(vae.encode(picture)) - picture).square().mean()
    assert error < 0.01, "the demonstration's VAE does not give back a plain gradient"


def test_comfyuis_own_loader_knows_nothing_of_them(pack: Any) -> None:
    import nodes

    listed = nodes.VAELoader.INPUT_TYPES()["required"]["vae_name"][0]
    assert not [name for name in listed if "m3ddm" in name]
    (vae_name,) = pack.nodes["M3DDM_LoadVAE"].GET_SCHEMA().inputs
    assert vae_name.options == [*listed, VAE], "and all of its own are listed with ours"


def test_a_users_vae_is_loaded_as_comfyui_does(pack: Any, tmp_path: Any) -> None:
    from pathlib import Path

    import folder_paths

    pack_file = Path(__file__).resolve().parents[2] / "models" / VAE
    for name in ("mine.safetensors", VAE):
        (tmp_path / name).symlink_to(pack_file)
    folder_paths.add_model_folder_path("vae", str(tmp_path))
    try:
        (vae_name,) = pack.nodes["M3DDM_LoadVAE"].GET_SCHEMA().inputs
        assert "mine.safetensors" in vae_name.options and vae_name.options.count(VAE) == 1
        for name in ("mine.safetensors", VAE):
            (vae,) = pack.run("M3DDM_LoadVAE", vae_name=name)
            assert vae.patcher.cached_patcher_init[1][0] == str(tmp_path / name), "the user's own goes first"
        assert_gives_back_a_gradient(vae)
    finally:
        folder_paths.folder_names_and_paths["vae"][0].remove(str(tmp_path))
        folder_paths.filename_list_cache.pop("vae", None)


def test_the_clip_is_a_video_as_load_video_gives_it(pack: Any) -> None:
    (clip,) = pack.run("M3DDM_DemoClip")
    parts = clip.get_components()
    assert clip.get_dimensions() == (288, 360) and parts.images.shape == (64, 360, 288, 3)
    assert float(parts.frame_rate) == 25 and parts.audio["waveform"].abs().max() > 0.01


def test_a_users_own_file_of_that_name_goes_first(pack: Any, tiny_checkpoint: str) -> None:
    from pathlib import Path

    import folder_paths

    folder = Path(folder_paths.get_folder_paths("diffusion_models")[0])
    own = folder / NETWORK
    own.symlink_to(folder / tiny_checkpoint)
    try:
        (model,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=NETWORK, weight_dtype="default")
        assert model.model.model_type.name == "EPS"
    finally:
        own.unlink()
