"""Folders in diffusers form: config.json beside the weights, in one file or in several with an index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..unet.config import UNetConfig
from .recognise import DOWNLOAD_AGAIN, CheckpointError, shown

WEIGHTS = "diffusion_pytorch_model"
MOST_JSON = 8 << 20
"""Bytes of a config.json, of some kilobytes as a rule, or of an index, which names every tensor."""
MOST_FILES = 1024
MOST_DEPTH = 16

_SIZES = ("in_channels", "out_channels", "block_out_channels", "layers_per_block", "cross_attention_dim")
_METADATA = {"attention_heads": "attention_head_dim", "norm_num_groups": "norm_num_groups", "norm_eps": "norm_eps"}
"""Ours and diffusers' names. What its older configs call the dimension of a head is their number."""


def open_folder(folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """Return the files with weights and the config.json of a folder, or of the ``unet`` in a whole pipeline's.

    Raises `CheckpointError` for a folder without them. The weights are not looked into.
    """
    if not (folder / "config.json").is_file() and (folder / "unet" / "config.json").is_file():
        folder = folder / "unet"
    config = read_json(folder / "config.json")
    for suffix in (".safetensors", ".bin"):
        weights, index = folder / f"{WEIGHTS}{suffix}", folder / f"{WEIGHTS}{suffix}.index.json"
        if weights.is_file():
            return [weights], config
        if index.is_file():
            return list(_parts(index)), config
    raise CheckpointError(
        f"{folder}: got a folder without weights, expected config.json and {WEIGHTS}.safetensors or {WEIGHTS}.bin; "
        "give the checkpoint file itself if it has another name"
    )


def metadata_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what a config.json says that tensors do not, under the names that a file's metadata has for it."""
    found = {ours: str(config[theirs]) for ours, theirs in _METADATA.items() if config.get(theirs) is not None}
    if "prediction_type" in config:
        found["prediction_type"] = str(config["prediction_type"])
    return found


def check_config(found: UNetConfig, config: Mapping[str, Any]) -> None:
    """Compare what the tensors' shapes say with what the folder's config.json says."""
    for key in _SIZES:
        said, is_so = config.get(key), getattr(found, key)
        said = tuple(said) if isinstance(said, list) else said
        if said is not None and said != is_so:
            raise CheckpointError(
                f"got {key} = {shown(str(said))} in config.json, expected {is_so} as in the weights: the two files do "
                "not belong together; download both again"
            )


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of plain values and lists of them. Raises `CheckpointError` for any other file."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_JSON + 1)
        if len(text) > MOST_JSON:
            raise CheckpointError(f"{path}: got JSON of more than {MOST_JSON:,} bytes; {DOWNLOAD_AGAIN}")
        content = json.loads(text.decode("utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path.parent}: got a folder without {path.name}, expected a diffusers folder; give the checkpoint file "
            "itself"
        ) from None
    except IsADirectoryError:
        raise CheckpointError(f"{path}: got a folder, expected a file; {DOWNLOAD_AGAIN}") from None
    except CheckpointError:
        raise
    # Nesting without end is a RecursionError.
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else error
        raise CheckpointError(f"{path}: got a file that is not JSON ({why}); {DOWNLOAD_AGAIN}") from None
    if _is_deep(content):
        raise CheckpointError(f"{path}: got JSON that is nested too deep; {DOWNLOAD_AGAIN}")
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: got JSON that is no object; {DOWNLOAD_AGAIN}")
    return content


def _is_deep(content: Any) -> bool:
    """Whether something is left below `MOST_DEPTH` levels. To put that in words may take more levels than there are."""
    level = [content]
    for _ in range(MOST_DEPTH):
        inner = [part for part in level if isinstance(part, dict | list)]
        level = [below for part in inner for below in (part.values() if isinstance(part, dict) else part)]
    return bool(level)


def _parts(index: Path) -> Iterator[Path]:
    """Yield the files that an index names."""
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise CheckpointError(
            f"{index}: got an index without a weight_map of file names, expected a file's name for every tensor; "
            f"{DOWNLOAD_AGAIN}"
        )
    files = sorted(set(names.values()))
    if len(files) > MOST_FILES:
        raise CheckpointError(f"{index}: got {len(files):,} files, expected at most {MOST_FILES:,}; {DOWNLOAD_AGAIN}")
    for name in files:
        # The name comes from a downloaded file: it must not lead out of the folder.
        yield index.parent / Path(name).name
