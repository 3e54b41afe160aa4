"""One file of the table, and how sound files are written."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

Weights = dict[str, torch.Tensor]

RIGHT, TOLD, EITHER = "right", "told", "either"
"""Loaded with all weights as they were; refused in one line; or, where a flipped bit may lie where nothing reads it,
one of the two."""


@dataclass(frozen=True)
class Case:
    """``write`` makes the file, or folder, in an empty folder out of a network's weights and returns its path.

    ``exact``: whatever is loaded has the weights it was made from; False where a format has no checksum.
    """

    kind: str
    name: str
    write: Callable[[Path, Weights], Path]
    outcome: str = TOLD
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def safetensors_bytes(weights: Weights, metadata: dict[str, str] | None = None) -> bytes:
    return safetensors.torch.save(weights, metadata)


def zip_bytes(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def older_bytes(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def lightning_bytes(weights: Weights) -> bytes:
    state_dict = {f"model.unet.{name}": tensor for name, tensor in weights.items()}
    return zip_bytes({"epoch": 3, "state_dict": state_dict, "hyper_parameters": {"lr": 1e-4}})


CONTAINERS: dict[str, Callable[[Weights], bytes]] = {
    "m.safetensors": safetensors_bytes,
    "m.bin": zip_bytes,
    "m.pth": older_bytes,
    "m.ckpt": lightning_bytes,
}


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def header_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Split a safetensors file into its header and its tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header: bytes | dict[str, Any], tensors: bytes) -> bytes:
    """Put a safetensors file together."""
    header = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(header)) + header + tensors
