"""File -> MODEL."""

from __future__ import annotations

import os
from typing import Any

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch
from comfy_api.latest import io

from ..m3ddm_core.checkpoint import DTYPES, CheckpointError, read_checkpoint
from ..m3ddm_core.journal.weights import WeightsFile
from ..m3ddm_core.sampling.advice import read_advice
from .host.files import as_comfyui
from .host.model import M3DDMConfig
from .host.sockets import CATEGORY, DEMO_MODELS

DEMO = "m3ddm_demo.safetensors"
"""The network in ``DEMO_MODELS``, offered beside the files of ComfyUI's own folders."""

WEIGHT_DTYPES = {
    "default": None,
    **DTYPES,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}


class LoadCheckpoint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_LoadCheckpoint",
            display_name="M3DDM Load Checkpoint",
            category=CATEGORY,
            description="Loads the M3DDM or M3DDM+ network from models/diffusion_models as a regular ComfyUI model. "
            f"{DEMO} comes with the pack: a small network for trying things out, trained on drawn scenes. It is a "
            "demonstration, not the published model; use it with m3ddm_demo_vae.safetensors.",
            search_aliases=["m3ddm loader", "load m3ddm", "outpaint model"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=_checkpoints(),
                    tooltip="Network file in models/diffusion_models: .safetensors, the published .bin, or a "
                    f"Lightning .ckpt (M3DDM+). {DEMO} is the pack's small demonstration.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=list(WEIGHT_DTYPES),
                    default="default",
                    tooltip="Number format in which the weights are held. default lets ComfyUI choose for the device; "
                    "fp8 takes the least memory and costs some quality.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    tooltip="The network, under ComfyUI's memory management. Goes to the three M3DDM sampler nodes."
                )
            ],
        )

    @classmethod
    def execute(cls, checkpoint: str, weight_dtype: str) -> io.NodeOutput:
        return io.NodeOutput(load_model(_path(checkpoint), {"dtype": WEIGHT_DTYPES[weight_dtype]}))


def _checkpoints() -> list[str]:
    files = folder_paths.get_filename_list("diffusion_models")
    return files if DEMO in files else [*files, DEMO]


def _path(checkpoint: str) -> str:
    """Return a file's path; the demonstration is the user's own copy where there is one."""
    if checkpoint == DEMO and folder_paths.get_full_path("diffusion_models", DEMO) is None:
        return os.path.join(DEMO_MODELS, DEMO)
    return folder_paths.get_full_path_or_raise("diffusion_models", checkpoint)


def load_model(path: str, model_options: dict[str, Any], disable_dynamic: bool = False) -> Any:
    """Load a checkpoint as ComfyUI loads its own diffusion models, and return its model patcher.

    The signature is that of ComfyUI's loader: it calls this again to load the same file for another device.
    """
    weights = WeightsFile.at(path)
    checkpoint = read_checkpoint(path, **as_comfyui())
    try:
        advice = read_advice(checkpoint.metadata)
    except ValueError as error:
        raise CheckpointError(f"{os.path.basename(path)}: {error}") from None
    state_dict = dict(checkpoint.state_dict)

    config = M3DDMConfig(checkpoint.config, checkpoint.prediction_type, advice, weights)
    load_device = model_options.get("load_device", comfy.model_management.get_torch_device())
    offload_device = model_options.get("offload_device", comfy.model_management.unet_offload_device())
    dtype = model_options.get("dtype") or comfy.model_management.unet_dtype(
        model_params=checkpoint.parameters,
        supported_dtypes=config.supported_inference_dtypes,
        weight_dtype=checkpoint.dtype,
    )
    manual_cast = comfy.model_management.unet_manual_cast(dtype, load_device, config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, manual_cast, device=load_device)

    model = config.get_model(state_dict)
    make_patcher = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    patcher = make_patcher(model, load_device=load_device, offload_device=offload_device)
    if not comfy.model_management.is_device_cpu(offload_device):
        model.to(offload_device)
    model.load_model_weights(state_dict, assign=patcher.is_dynamic())
    patcher.cached_patcher_init = (load_model, (path, model_options))
    return patcher
