"""What travels between a fleet and its workers: tensors as bytes, everything else as plain values.

A worker may have loaded this library under another name than the host has (ComfyUI does), so no class of it travels.
"""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import Tensor

from ..sampling.clip import ClipConditions
from ..sampling.wave import Batch

SAMPLE, BRANCH, ENCODE, DECODE = "sample", "branch", "encode", "decode"
"""What a worker can be asked for."""

STEP, ASK, NOTE, DONE, FAILED = "step", "ask", "note", "done", "failed"
"""What a worker answers: (STEP, step, steps, tensors), (ASK, number, tensors of a branch that another may evaluate),
(NOTE, text), (DONE, tensors), (FAILED, what of, text)."""

MEMORY, LATENTS, OTHER = "memory", "latents", "other"
"""What a failure is of."""

LAYOUT = " layout"
"""After the name of a tensor: its shape and strides."""

NoCallback = tuple[ClipConditions, Tensor, Tensor]


def pack(**tensors: Tensor) -> bytes:
    """Turn tensors into bytes, whatever device they are on.

    How they lie in memory goes along: kernels add up in another order where it is another, and bits would differ.
    """
    parts = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu()
        extent = _extent(tensor)
        if extent > 2 * tensor.numel():  # A view of something larger.
            tensor, extent = tensor.contiguous(), tensor.numel()
        parts[name] = tensor.as_strided((extent,), (1,)).clone()
        parts[name + LAYOUT] = torch.tensor([tensor.shape, tensor.stride()], dtype=torch.int64)
    return save(parts)


def unpack(packed: bytes) -> dict[str, Tensor]:
    """Return the tensors that were packed, on the CPU, in memory of their own."""
    parts = load(packed)
    names = [name for name in parts if not name.endswith(LAYOUT)]
    return {name: parts[name].clone().as_strided(*parts[name + LAYOUT].tolist()) for name in names}


def _extent(tensor: Tensor) -> int:
    """How many elements lie from the first to the last."""
    if not tensor.numel():
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


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
