"""File -> VAE, the demonstration's among them."""

from __future__ import annotations

import os
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
import nodes
from comfy_api.latest import io

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
            search_aliases=["m3ddm vae", "load m3ddm vae", "demo vae", "video outpainting vae"],
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
        own = vae_name == DEMO and folder_paths.get_full_path("vae", DEMO) is None
        return io.NodeOutput(_demo() if own else nodes.VAELoader().load_vae(vae_name)[0])


def _vaes() -> list[str]:
    files = nodes.VAELoader.vae_list(nodes.VAELoader)
    return files if DEMO in files else [*files, DEMO]


def _demo() -> Any:
    """Load the pack's file as ComfyUI's loader does one of its folders'."""
    path = os.path.join(DEMO_MODELS, DEMO)
    state_dict, metadata = comfy.utils.load_torch_file(path, return_metadata=True)
    vae = comfy.sd.VAE(sd=state_dict, metadata=metadata)
    vae.throw_exception_if_invalid()
    vae.patcher.cached_patcher_init = (comfy.sd.load_vae_patcher, (path, metadata, None))
    return vae
