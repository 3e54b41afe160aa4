"""Any checkpoint of the family into one flat safetensors file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from .network import Checkpoint
from .read import read_checkpoint
from .recognise import LONGEST_MESSAGE, CheckpointError, shown
from .save import Progress, in_bytes, save_checkpoint


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    force: bool = False,
    log: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> None:
    """Read ``source`` (see `read_checkpoint`) and write ``target``, whose suffix is ``.safetensors``.

    ``dtype`` None keeps the source's. ``force`` replaces an existing target, once the new one is complete. ``log``
    gets one line a step and ``progress`` the bytes written. Raises what reading and saving raise.
    """
    source, target = Path(source), Path(target)
    _check_target(source, target, force)
    started = time.monotonic()
    log(f"reading {shown(str(source), LONGEST_MESSAGE)}")
    checkpoint = read_checkpoint(source)
    for line in describe(checkpoint):
        log(line)
    log(f"writing {target} as {_short(dtype or checkpoint.dtype)}")
    # The name only: a path would tell others about this machine.
    metadata = {"source_file": source.resolve().name, **checkpoint.metadata}
    metadata["prediction_type"] = checkpoint.prediction_type
    try:
        save_checkpoint(target, checkpoint.state_dict, checkpoint.config, metadata, dtype=dtype, progress=progress)
    except OSError as error:
        raise CheckpointError(
            f"{target.name}: got a file that cannot be written ({error.strerror or error}), expected room and "
            "permission for it; choose another folder"
        ) from error
    log(f"done: {in_bytes(target.stat().st_size)} in {time.monotonic() - started:.0f} s")


def describe(checkpoint: Checkpoint) -> list[str]:
    """Say in a few lines what was read."""
    config = checkpoint.config
    under = f", names under {shown(repr(checkpoint.prefix))}" if checkpoint.prefix else ""
    lines = [
        f"found an M3DDM U-Net in a {checkpoint.source}{under}",
        f"  {checkpoint.parameters:,} parameters in {len(checkpoint.state_dict):,} tensors, {_short(checkpoint.dtype)}",
        f"  widths {', '.join(map(str, config.block_out_channels))}; {config.layers_per_block} layers a block; "
        f"{config.in_channels} channels in, {config.out_channels} out; "
        f"global tokens {config.cross_attention_dim} wide; {config.attention_heads} heads; "
        f"predicts {checkpoint.prediction_type}",
    ]
    if checkpoint.ignored:
        lines.append(f"  {checkpoint.ignored:,} tensors beside the network are left out")
    return lines


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _check_target(source: Path, target: Path, force: bool) -> None:
    if target.suffix != ".safetensors":
        raise CheckpointError(f"got the output name {target.name}, expected one that ends in .safetensors")
    if not target.absolute().parent.is_dir():
        raise CheckpointError(f"got an output in {target.parent}, expected an existing folder: make it first")
    if target.is_dir():
        raise CheckpointError(f"got the folder {target} as output, expected the name of a file")
    if target.exists() and source.exists() and target.samefile(source):
        raise CheckpointError(f"got {target} as both input and output, expected two files: name another output")
    if target.exists() and not force:
        raise CheckpointError(f"got {target}, which exists, expected a new name; add --force to replace it")
