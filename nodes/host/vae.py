"""ComfyUI's VAE as the callable that the core asks for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary

import comfy.latent_formats
import comfy.model_management
import torch
import torch.nn.functional as F
from einops import rearrange

from ...m3ddm_core.canvas.placement import LATENT_SCALE
from ...m3ddm_core.journal.digest import digest
from ...m3ddm_core.vae import Decode, Encode

MOST_RECALLED = 16
"""Groups of frames whose latents are kept for each VAE: of global frames, 2 MB in all."""
_RECALLED: WeakKeyDictionary[Any, OrderedDict[str, torch.Tensor]] = WeakKeyDictionary()

SDXL_FIT = 0.8
"""Correlation from which a linear picture of the latents counts as good."""


def encoder(vae: Any) -> Encode:
    """Encode frames (n, h, w, 3), 0..1, with a VAE of ComfyUI to model-space latents, float32.

    ComfyUI's button for stopping is heeded before each call, as `decoder` does.
    """
    latent_format = comfy.latent_formats.SD15()

    def encode(frames: torch.Tensor) -> torch.Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        return latent_format.process_in(vae.encode(frames).float())

    return encode


def recalling(vae: Any, encode: Encode) -> Encode:
    """An `encoder` of a VAE that still knows the latents of the last pictures that it was given through this."""
    known = _RECALLED.setdefault(vae, OrderedDict())

    def encode_or_recall(frames: torch.Tensor) -> torch.Tensor:
        key = digest(frames)
        if key not in known:
            known[key] = encode(frames)
            if len(known) > MOST_RECALLED:
                known.popitem(last=False)
        return known[key]

    return encode_or_recall


def decoder(vae: Any) -> Decode:
    """Decode model-space latents (n, 4, h, w) with a VAE of ComfyUI to frames (n, 8 h, 8 w, 3), 0..1."""
    latent_format = comfy.latent_formats.SD15()

    def decode(latents: torch.Tensor) -> torch.Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        # Who asks for frames later may do so outside a node, where ComfyUI has not switched gradients off.
        with torch.no_grad():
            return vae.decode(latent_format.process_out(latents))

    return decode


def warning_encoder(vae: Any) -> Encode:
    """An `encoder` that looks whether the VAE is one of SDXL, at the first frames that it is given."""
    encode, unseen = encoder(vae), [True]

    def watch(frames: torch.Tensor) -> torch.Tensor:
        latents = encode(frames)
        # Latents of another shape are the core's to refuse.
        if unseen and unseen.pop() and latents.shape[1:2] == (4,) and latents.ndim == 4:
            warn_of_sdxl(frames, latents)
        return latents

    return watch


def warn_of_sdxl(frames: torch.Tensor, latents: torch.Tensor) -> None:
    """Log a warning where model-space latents (n, 4, h, w) of frames look like those of an SDXL VAE.

    Their shape is the same. But each family's latents give a rough picture through its own three-by-four matrix,
    which ComfyUI's previews use: the latents are SDXL's where its matrix shows the frame well and SD 1.5's does not.
    """
    picture = F.avg_pool2d(rearrange(frames[:1].float(), "n h w c -> n c h w"), LATENT_SCALE)[0].to(latents.device)
    fits = {
        name: correlation(torch.einsum("l h w, l c -> c h w", latents[0], latents.new_tensor(factors)), picture)
        for name, factors in (
            ("sd15", comfy.latent_formats.SD15().latent_rgb_factors),
            ("sdxl", comfy.latent_formats.SDXL().latent_rgb_factors),
        )
    }
    if fits["sdxl"] > SDXL_FIT > fits["sd15"]:
        logging.warning(
            "M3DDM Encode Context: the VAE looks like one of SDXL (its latents fit SDXL's colours at %.2f and SD 1.5's "
            "at %.2f). M3DDM was trained on Stable Diffusion 1.5 latents; load a VAE of SD 1.5, such as "
            "vae-ft-mse-840000-ema-pruned.safetensors.",
            fits["sdxl"],
            fits["sd15"],
        )


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Pearson's correlation of two tensors (c, h, w), each channel's mean taken out; 0 where one is flat."""
    a, b = (t - t.mean(dim=(1, 2), keepdim=True) for t in (a, b))
    scale = a.norm() * b.norm()
    return ((a * b).sum() / scale).item() if scale > 0 else 0.0
