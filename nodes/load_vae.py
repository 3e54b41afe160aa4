"""File -> VAE, the demonstration's among them."""

from __future__ import annotations

import os
from typing import Any

import comfy.model_management
import comfy.sd
import folder_paths
import nodes
import torch
from comfy_api.latest import io

from ..m3ddm_core.checkpoint import CheckpointError, check_finite, read_tensors, recognise
from .host.files import as_comfyui
from .host.sockets import CATEGORY, DEMO_MODELS

DEMO = "m3ddm_demo_vae.safetensors"
"""The VAE in ``DEMO_MODELS``, offered here alone: in ComfyUI's own list it would be a default of other workflows."""


class LoadVAE(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_LoadVAE",
            display_name="M3DDM Load VAE",
            category=CATEGORY,
            description=f"Loads a VAE as ComfyUI's Load VAE does. It also lists {DEMO}, which comes with the pack and "
            "belongs to its small demonstration network. For the published weights Load VAE works just as well.",
            search_aliases=["m3ddm vae", "load m3ddm vae", "demo vae"],
            inputs=[
                io.Combo.Input(
                    "vae_name",
                    options=_vaes(),
                    default=DEMO,
                    tooltip="A VAE of Stable Diffusion 1.x in models/vae, for the published weights; or the pack's "
                    f"{DEMO}, for its demonstration network.",
                )
            ],
            outputs=[
                io.Vae.Output(tooltip="Goes wherever a VAE is asked for: M3DDM Encode Context, VAE Decode and others.")
            ],
        )

    @classmethod
    def execute(cls, vae_name: str) -> io.NodeOutput:
        path = _path(vae_name)
        # ComfyUI's list also has VAEs without a file of their own, such as pixel_space.
        return io.NodeOutput(_load(path) if path else nodes.VAELoader().load_vae(vae_name)[0])


def _vaes() -> list[str]:
    files = nodes.VAELoader.vae_list(nodes.VAELoader)
    return files if DEMO in files else [*files, DEMO]


def _path(vae_name: str) -> str | None:
    """Return a file's path, None where there is none; the demonstration is the user's own copy where there is one."""
    path = folder_paths.get_full_path("vae", vae_name)
    return os.path.join(DEMO_MODELS, DEMO) if path is None and vae_name == DEMO else path


def _load(path: str) -> Any:
    """Load a checked file as ComfyUI's loader does one of its folders'."""
    name = os.path.basename(path)
    found = read_tensors(path, **as_comfyui())
    state_dict = found.tree.get("state_dict", found.tree) if isinstance(found.tree, dict) else {}
    state_dict = {name: tensor for name, tensor in state_dict.items() if isinstance(tensor, torch.Tensor)}
    try:
        check_finite(state_dict)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    try:
        vae = comfy.sd.VAE(sd=state_dict, metadata=found.metadata or None)
        vae.throw_exception_if_invalid()
    except (comfy.model_management.OOM_EXCEPTION, MemoryError):
        raise
    # ComfyUI tells a VAE by single names and raises what it pleases where the rest does not fit them.
    except Exception as error:
        kind = recognise({name: tuple(tensor.shape) for name, tensor in state_dict.items()})
        raise CheckpointError(
            f"{name}: got a file that ComfyUI cannot load as a VAE ({type(error).__name__}), expected one of Stable "
            f"Diffusion 1.x; it looks like {kind.name}. Choose another file"
        ) from error
    vae.patcher.cached_patcher_init = (comfy.sd.load_vae_patcher, (path, found.metadata or None, None))
    return vae
