"""Writing the one flat form: a safetensors file that carries its own config."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..unet.config import UNetConfig
from .finite import is_finite
from .network import COUNTER, check_state_dict
from .recognise import CheckpointError, shown
from .whole import written_whole

FORMAT = "m3ddm"

Progress = Callable[[int, int], None]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Number formats by the short names that commands, configurations and nodes have for them."""

_DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
}


def save_checkpoint(
    path: str | os.PathLike[str],
    state_dict: Mapping[str, Tensor],
    config: UNetConfig,
    metadata: Mapping[str, Any] | None = None,
    *,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> None:
    """Write one flat safetensors file that ``read_checkpoint`` takes back without any other file beside it.

    ``metadata`` is added to the network's own (``prediction_type``, where it is not epsilon, belongs there).
    ``dtype`` converts the floats, never the counters. ``progress`` gets (bytes written, bytes in all). The file takes
    its place only when it is complete: after any failure the old one is still there.

    Raises `CheckpointError` for a state dict that is not the config's network, for values that are not finite
    (or no longer are in ``dtype``), and for too small a disk; ``OSError`` as the system gives it.
    """
    path = Path(path)
    check_state_dict(state_dict, config)
    own = {
        "format": FORMAT,
        "attention_heads": config.attention_heads,
        "norm_num_groups": config.norm_num_groups,
        "norm_eps": config.norm_eps,
    }
    texts = {key: str(value) for key, value in {"prediction_type": "epsilon", **(metadata or {}), **own}.items()}
    with written_whole(path) as partial, partial.open("wb") as file:
        _write(file, path, state_dict, texts, dtype, progress)
        file.flush()
        os.fsync(file.fileno())


def _write(
    file: BinaryIO,
    path: Path,
    state_dict: Mapping[str, Tensor],
    metadata: dict[str, str],
    dtype: torch.dtype | None,
    progress: Progress | None,
) -> None:
    """Write tensor by tensor: the safetensors package's own writer wants the whole converted network in memory."""
    dtypes = {n: t.dtype if dtype is None or n.endswith(COUNTER) else dtype for n, t in state_dict.items()}
    for name, kind in dtypes.items():
        if kind not in _DTYPE_NAMES:
            raise CheckpointError(f"got {shown(name)} as {kind}, expected one of {', '.join(map(str, _DTYPE_NAMES))}")
    # Wide elements first, as the format's own writer has it: every tensor then starts on a multiple of its element.
    names = sorted(dtypes, key=lambda name: (-dtypes[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        start, end = end, end + state_dict[name].numel() * dtypes[name].itemsize
        header[name] = {
            "dtype": _DTYPE_NAMES[dtypes[name]],
            "shape": list(state_dict[name].shape),
            "data_offsets": [start, end],
        }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    free = shutil.disk_usage(path.absolute().parent).free
    if free < end:
        raise CheckpointError(
            f"got {in_bytes(free)} free on the disk of {path.name}, expected at least {in_bytes(end)}: make room"
        )
    file.write(struct.pack("<Q", len(encoded)))
    file.write(encoded)
    for name in names:
        converted = state_dict[name].detach().to("cpu", dtypes[name]).contiguous()
        _check_finite(name, state_dict[name], converted)
        file.write(converted.reshape(-1).view(torch.uint8).numpy())
        if progress is not None:
            progress(header[name]["data_offsets"][1], end)


def in_bytes(count: int) -> str:
    """Say a number of bytes in the unit that fits it."""
    for size, unit in ((10**9, "GB"), (10**6, "MB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,} bytes"


def _check_finite(name: str, original: Tensor, converted: Tensor) -> None:
    if converted.dtype.itemsize == 1 or is_finite(converted):
        return
    if original.dtype != converted.dtype and is_finite(original):
        largest = original.abs().max().item()
        raise CheckpointError(
            f"got {shown(name)} with values up to {largest:g}, expected at most {torch.finfo(converted.dtype).max:g} "
            f"in {str(converted.dtype).removeprefix('torch.')}; convert to bf16 or fp32"
        )
    raise CheckpointError(
        f"got {shown(name)} with values that are not finite: the weights are damaged; take the file again"
    )
