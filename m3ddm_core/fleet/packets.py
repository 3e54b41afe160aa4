"""What travels between a fleet and its workers: tensors as bytes, everything else as plain values.

A worker may have loaded this library under another name than the host has (ComfyUI does), so no class of it travels.
"""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import Tensor

from ..sampling.clip import ClipConditions
from ..sampling.wave import Batch

SAMPLE, ENCODE, DECODE = "sample", "encode", "decode"
"""What a worker can be asked for."""

STEP, NOTE, DONE, FAILED = "step", "note", "done", "failed"
"""What a worker answers: (STEP, step, steps, tensors), (NOTE, text), (DONE, tensors), (FAILED, what of, text)."""

MEMORY, LATENTS, OTHER = "memory", "latents", "other"
"""What a failure is of."""

NoCallback = tuple[ClipConditions, Tensor, Tensor]


def pack(**tensors: Tensor) -> bytes:
    """Turn tensors into bytes, whatever device they are on."""
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def unpack(packed: bytes) -> dict[str, Tensor]:
    """Return the tensors that were packed, on the CPU."""
    return load(packed)


def pack_batch(batch: Batch) -> bytes:
    """Pack what a sampler is given of a batch; its callback stays."""
    conditions = batch.conditions
    return pack(
        masked_video=conditions.masked_video,
        blank_video=conditions.blank_video,
        global_latents=conditions.global_latents,
        fps=torch.tensor(conditions.fps),
        start=batch.start,
        noise=batch.noise,
    )


def unpack_batch(packed: bytes) -> NoCallback:
    """Return conditions, start latents and noise of a batch."""
    tensors = unpack(packed)
    start, noise = tensors.pop("start"), tensors.pop("noise")
    return ClipConditions(**{**tensors, "fps": int(tensors["fps"])}), start, noise
