"""ComfyUI's MODEL and VAE as the core's pipeline calls them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from ...m3ddm_core.models import Models
from .guider import clip_sampler
from .journal import recipe_of, vae_recipe_of
from .memory import clips_at_once
from .model import advice_of
from .vae import decoder, warning_encoder


def comfy_models(patcher: Any, vae: Any) -> Models:
    """Return the two networks, run, moved and offloaded by ComfyUI."""
    return replace(
        comfy_network(patcher),
        encode=warning_encoder(vae),
        decode=decoder(vae),
        vae_recipe=lambda: vae_recipe_of(vae),
    )


def comfy_network(patcher: Any) -> Models:
    """Return the network alone, for states that are encoded already."""
    return Models(
        encode=_no_vae,
        decode=_no_vae,
        sampler=lambda settings, seed: clip_sampler(patcher, settings, seed),
        clips_at_once=lambda settings, height, width: clips_at_once(patcher, settings, height, width),
        advice=advice_of(patcher),
        recipe=lambda settings, seed: recipe_of(patcher, settings, seed),
    )


def _no_vae(given: Tensor) -> Tensor:
    raise ValueError("got no VAE, expected one: a level is sampled from latents to latents")
