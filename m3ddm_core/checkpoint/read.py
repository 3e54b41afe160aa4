"""Reading checkpoint files and diffusers folders: the one way in, for the library, the commands and the nodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .container import SAFETENSORS, check_file
from .finite import check_finite
from .folder import check_config, metadata_of, open_folder
from .network import Checkpoint, normalise
from .recognise import DOWNLOAD_AGAIN, CheckpointError
from .torch_files import read_torch_file

FOLDER = "diffusers folder"

OpenSafetensors = Callable[[Path], tuple[dict[str, Tensor], Mapping[str, str] | None]]
"""A checked safetensors file to its tensors and its metadata."""


@dataclass(frozen=True)
class Tensors:
    """What a file holds: tensors in nested dicts, texts beside them, and the kind of container."""

    tree: Any
    source: str
    metadata: dict[str, str] = field(default_factory=dict)


def open_safetensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str] | None]:
    """Map the tensors of a safetensors file."""
    with safe_open(path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def read_tensors(
    path: str | os.PathLike[str], *, safetensors: OpenSafetensors = open_safetensors, mapped: bool = True
) -> Tensors:
    """Read any file of tensors, safetensors or PyTorch's, whatever its suffix says.

    Its size, header, directory and pickles are checked against bounds and against each other before tensors are read,
    and nothing in a pickle is run. ``safetensors`` opens a checked file; ``mapped`` says whether PyTorch's files are
    mapped (see `read_torch_file`). Raises `CheckpointError`, with the file's name in the message.
    """
    path = Path(path)
    try:
        source = check_file(path)
        if source != SAFETENSORS:
            return Tensors(read_torch_file(path, mapped=mapped), source)
        tree, metadata = safetensors(path)
        return Tensors(tree, source, dict(metadata or {}))
    except SafetensorError as error:
        raise CheckpointError(f"{path.name}: got a damaged safetensors file ({error}); {DOWNLOAD_AGAIN}") from error
    except OSError as error:
        raise CheckpointError(
            f"{path.name}: got a file that cannot be read ({error.strerror or error}), expected a checkpoint; "
            f"{DOWNLOAD_AGAIN}"
        ) from error


def read_checkpoint(
    path: str | os.PathLike[str], *, safetensors: OpenSafetensors = open_safetensors, mapped: bool = True
) -> Checkpoint:
    """Read a network from a safetensors file, a PyTorch pickle (``.bin``, ``.ckpt``, ``.pt``) or a diffusers folder.

    As `read_tensors` reads; the network is then checked name by name and its weights for values that are not finite.
    Raises `CheckpointError`, with the file's name in the message.
    """
    path = Path(path)
    config: dict[str, Any] = {}
    # Not ``Path.is_dir``: that raises at names that no file system takes.
    if os.path.isdir(path):
        files, config = open_folder(path)
        parts = [_part(path, file, safetensors, mapped) for file in files]
        found = Tensors(parts[0] if len(parts) == 1 else _joined(files, parts), FOLDER, metadata_of(config))
    else:
        found = read_tensors(path, safetensors=safetensors, mapped=mapped)
    try:
        checkpoint = normalise(found.tree, found.metadata, source=found.source)
        check_config(checkpoint.config, config)
        check_finite(checkpoint.state_dict)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    return checkpoint


def _part(folder: Path, file: Path, safetensors: OpenSafetensors, mapped: bool) -> Any:
    """Read one of a folder's files. Raises `CheckpointError` that names both."""
    try:
        return read_tensors(file, safetensors=safetensors, mapped=mapped).tree
    except CheckpointError as error:
        raise error if str(folder) in str(error) else CheckpointError(f"{folder.name}/{error}") from error


def _joined(files: list[Path], parts: list[Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for file, part in zip(files, parts, strict=True):
        if not isinstance(part, dict):
            raise CheckpointError(
                f"{file.parent.name}/{file.name}: got no dict of tensors, expected part of a network; {DOWNLOAD_AGAIN}"
            )
        whole.update(part)
    return whole
