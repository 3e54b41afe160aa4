"""The demonstration's files, picked where a user would pick them, with nothing copied."""

from __future__ import annotations

from typing import Any

import torch

NETWORK, VAE = "m3ddm_demo.safetensors", "m3ddm_demo_vae.safetensors"


def test_the_loaders_list_and_load_them(pack: Any) -> None:
    import nodes

    (checkpoint,) = (i for i in pack.nodes["M3DDM_LoadCheckpoint"].GET_SCHEMA().inputs if i.id == "checkpoint")
    assert checkpoint.options.count(NETWORK) == 1 and VAE not in checkpoint.options
    assert VAE in nodes.VAELoader.INPUT_TYPES()["required"]["vae_name"][0]

    (model,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=NETWORK, weight_dtype="default")
    assert model.model.model_type.name == "V_PREDICTION"
    (vae,) = nodes.VAELoader().load_vae(VAE)
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    picture = torch.stack([x, y, 1 - x], dim=-1)[None]
    error = (vae.decode(vae.encode(picture)) - picture).square().mean()
    assert error < 0.01, "the demonstration's VAE does not give back a plain gradient"


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
