"""Torch, failing at one moment of its work."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class FailingAt(TorchDispatchMode):
    """Counts what torch computes, and raises an error in place of one of it; with no moment it only counts."""

    def __init__(self, moment: int | None = None, error: Exception | None = None):
        super().__init__()
        self.moment, self.error, self.count = moment, error, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        if self.count == self.moment:
            raise self.error
        return func(*args, **(kwargs or {}))


def out_of_memory(number: int) -> Exception:
    """What torch raises for a GPU, torch for the CPU, and Python, in turn."""
    text = "DefaultCPUAllocator: can't allocate memory"
    return (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(text), MemoryError())[number % 3]
