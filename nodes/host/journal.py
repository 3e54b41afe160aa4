"""Where finished clips are kept in ComfyUI, and what decides them there beside their inputs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import comfy.cli_args
import comfy.model_management
import comfy.sd
import comfyui_version
import folder_paths
from comfy.ldm.modules.attention import optimized_attention

from ...m3ddm_core.journal.clips import device_name, recipe, vae_recipe
from ...m3ddm_core.journal.digest import Unidentified, digest
from ...m3ddm_core.journal.store import Journal
from ...m3ddm_core.journal.weights import MOST_WORKERS
from ...m3ddm_core.sampling.settings import SamplingSettings

GIGABYTES = "M3DDM_JOURNAL"
"""Environment variable: what the journal may take on the disk, in gigabytes; 0 empties it and keeps nothing."""
USUAL_GIGABYTES = 4.0

PATCHED = (
    "patches",
    "object_patches",
    "weight_wrapper_patches",
    "model_options",
    "callbacks",
    "wrappers",
    "injections",
    "attachments",
    "additional_models",
    "hook_patches",
    "forced_hooks",
    "force_cast_weights",
)
"""All by which one patcher of the same network can make it answer otherwise than another."""

OF_A_VAE = ("process_input", "process_output", "crop_input", "downscale_ratio", "latent_channels", "latent_dim")
"""What of a VAE decides how it is used, beside its network."""


@contextmanager
def open_journal(title: str) -> Iterator[Journal | None]:
    """Yield ComfyUI's journal, or None where it is switched off; tell in the end what was taken from it.

    It lies in the user's folder, out of reach of ComfyUI's routes: the temporary folder is emptied at every start.
    """
    folder = os.path.join(folder_paths.get_system_user_directory("m3ddm"), "journal")
    gigabytes = _gigabytes()
    journal = Journal(folder, most_bytes=int(gigabytes * 1e9))
    if gigabytes == 0:
        journal.empty()
        yield None
        return
    yield journal
    if journal.taken:
        logging.info("%s: %d clips were taken from the journal; an earlier run had made them.", title, journal.taken)


def _gigabytes() -> float:
    text = os.environ.get(GIGABYTES, "").strip()
    try:
        size = float(text or USUAL_GIGABYTES)
    except ValueError:
        size = -1.0
    if 0 <= size < float("inf"):
        return size
    logging.warning(
        "M3DDM: got %s=%r, expected gigabytes, 0 for none; the journal may take %g.", GIGABYTES, text, USUAL_GIGABYTES
    )
    return USUAL_GIGABYTES


def recipe_of(patcher: Any, settings: SamplingSettings, seed: int) -> str:
    """Hash all that decides the clips of a MODEL of ours beside their inputs. Raises `Unidentified`."""
    model = patcher.model
    computes = (
        "comfyui",
        comfyui_version.__version__,
        device_name(patcher.load_device),
        str(model.get_dtype()),
        str(model.manual_cast_dtype),
        optimized_attention.__name__,
        set(comfy.cli_args.args.fast),
    )
    return recipe(settings, seed, model.model_config.weights.digest(), _patches(patcher), computes)


def vae_recipe_of(vae: Any) -> str:
    """Hash all that decides what a VAE of ComfyUI makes of pictures and latents. Raises `Unidentified`."""
    try:
        return _vae_recipe_of(vae)
    except AttributeError as error:
        raise Unidentified(f"the VAE is not as ComfyUI {comfyui_version.__version__} was known to have it") from error


def _vae_recipe_of(vae: Any) -> str:
    """The same. Which file it is of ComfyUI does not say: its weights themselves are hashed, each in a thread."""
    if type(vae) is not comfy.sd.VAE or {"encode", "decode"} & vars(vae).keys():
        raise Unidentified(f"{type(vae).__name__} is no VAE of ComfyUI's own kind and does not show what is in it")
    weights = vae.first_stage_model.state_dict()
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_WORKERS)) as workers:
        hashed = list(zip(weights, workers.map(digest, weights.values()), strict=True))
    computes = (
        *("comfyui", comfyui_version.__version__, device_name(vae.device)),
        *(str(vae.vae_dtype), str(vae.vae_output_dtype())),
        *(comfy.model_management.xformers_enabled_vae(), comfy.model_management.pytorch_attention_enabled_vae()),
        set(comfy.cli_args.args.fast),
    )
    how = {name: getattr(vae, name) for name in OF_A_VAE}
    return vae_recipe(type(vae.first_stage_model), hashed, how, _patches(vae.patcher), computes)


def _patches(patcher: Any) -> dict[str, Any]:
    return {name: getattr(patcher, name) for name in PATCHED}
