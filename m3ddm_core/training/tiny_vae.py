"""Train an autoencoder of TAESD's architecture from nothing, and write it as ComfyUI's VAE loader reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..vae import SCALE

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny


def tiny_state_dict(model: AutoencoderTiny) -> dict[str, Tensor]:
    """Return the weights under the names by which ComfyUI knows a TAESD file.

    ``vae_scale`` makes its raw latents as large as those of SD 1.x's own VAE, so that 0.18215 times them are what the
    encoder gives.
    """
    found = {}
    for name, tensor in model.state_dict().items():
        half, _, number, rest = name.split(".", 3)
        # In diffusers' decoder the clamp is no layer; in TAESD's it is layer 0.
        prefix = f"taesd_encoder.{number}" if half == "encoder" else f"taesd_decoder.{int(number) + 1}"
        found[f"{prefix}.{rest}"] = tensor.detach().cpu().contiguous()
    return {**found, "vae_scale": torch.tensor(SCALE), "vae_shift": torch.tensor(0.0)}


def save_tiny(path: str | os.PathLike[str], model: AutoencoderTiny, dtype: torch.dtype = torch.float16) -> None:
    """Write one safetensors file, whole or not at all; the scale stays float32."""
    path = Path(path)
    tensors = tiny_state_dict(model)
    tensors = {name: tensor if name.startswith("vae_") else tensor.to(dtype) for name, tensor in tensors.items()}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file(tensors, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
