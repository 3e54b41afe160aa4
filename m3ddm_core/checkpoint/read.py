"""Reading checkpoint files and diffusers folders."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..unet.config import UNetConfig
from .container import DOWNLOAD_AGAIN, SAFETENSORS, check_file
from .network import Checkpoint, normalise
from .recognise import CheckpointError

FOLDER = "diffusers folder"

_WEIGHTS = "diffusion_pytorch_model"


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a network from a safetensors file, a PyTorch pickle (``.bin``, ``.ckpt``, ``.pt``) or a diffusers folder.

    Pickles are opened with ``weights_only`` alone, so nothing in them runs. Tensors are mapped from the file where
    its format allows it. Raises `CheckpointError`, with the file's name in the message.
    """
    path = Path(path)
    config: dict[str, Any] = {}
    metadata: Mapping[str, str] = {}
    if path.is_dir():
        source = FOLDER
        raw, config = _read_folder(path)
        names = {"attention_heads": "attention_head_dim", "norm_num_groups": "norm_num_groups", "norm_eps": "norm_eps"}
        # What diffusers' older configs call the dimension of a head is their number.
        metadata = {ours: str(config[theirs]) for ours, theirs in names.items() if config.get(theirs) is not None}
        if "prediction_type" in config:
            metadata["prediction_type"] = str(config["prediction_type"])
    else:
        source = check_file(path)
        raw, metadata = _read_file(path, source)
    try:
        checkpoint = normalise(raw, metadata, source=source)
        _check_config(checkpoint.config, config)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    return checkpoint


def _read_file(path: Path, source: str) -> tuple[Any, dict[str, str]]:
    if source == SAFETENSORS:
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
        except SafetensorError as error:
            raise CheckpointError(f"{path.name}: got a damaged safetensors file ({error}); {DOWNLOAD_AGAIN}") from error
    try:
        # Only the newer, zipped form can be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)), {}
    except Exception as error:
        refused = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        if refused:
            raise CheckpointError(
                f"{path.name}: got a pickle that holds code or objects ({refused[1]}), expected tensors only; it was "
                "not opened, since that would run it. Ask for a safetensors file, or save the bare state dict from "
                "the program that wrote this one"
            ) from None
        # torch's own words recommend to open the file without the safeguard: they stay out of the message.
        raise CheckpointError(
            f"{path.name}: got a PyTorch file that cannot be read ({type(error).__name__}), expected a whole one; "
            f"{DOWNLOAD_AGAIN}"
        ) from error


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the raw tensors and the config.json of a diffusers folder, or of the ``unet`` in a pipeline's."""
    if not (folder / "config.json").is_file() and (folder / "unet" / "config.json").is_file():
        folder = folder / "unet"
    config = _read_json(folder / "config.json")
    for suffix in (".safetensors", ".bin"):
        weights, index = folder / f"{_WEIGHTS}{suffix}", folder / f"{_WEIGHTS}{suffix}.index.json"
        if weights.is_file():
            return _read_file(weights, check_file(weights))[0], config
        if index.is_file():
            raw: dict[str, Any] = {}
            for shard in sorted(set(_read_json(index).get("weight_map", {}).values())):
                # The name comes from a downloaded file: it must not lead out of the folder.
                part = folder / Path(str(shard)).name
                raw.update(_read_file(part, check_file(part))[0])
            return raw, config
    raise CheckpointError(
        f"{folder}: got a folder without weights, expected config.json and {_WEIGHTS}.safetensors or {_WEIGHTS}.bin; "
        "give the checkpoint file itself if it has another name"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: got a folder without {path.name}, expected a diffusers folder") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: got a file that is not JSON ({error}); {DOWNLOAD_AGAIN}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: got JSON that is no object; {DOWNLOAD_AGAIN}")
    return content


def _check_config(found: UNetConfig, config: Mapping[str, Any]) -> None:
    """Compare what the tensors' shapes say with what the folder's config.json says."""
    for key in ("in_channels", "out_channels", "block_out_channels", "layers_per_block", "cross_attention_dim"):
        said, is_so = config.get(key), getattr(found, key)
        said = tuple(said) if isinstance(said, list) else said
        if said is not None and said != is_so:
            raise CheckpointError(
                f"got {key} = {said} in config.json, expected {is_so} as in the weights: the two files do not belong "
                "together"
            )
