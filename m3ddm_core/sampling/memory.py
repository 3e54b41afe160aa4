"""Whether memory ran out, and how to say so."""

from __future__ import annotations


def is_of_memory(error: Exception) -> bool:
    """Whether memory ran out: for GPUs torch has a class of its own, for the CPU a text."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )


def out_of_memory(error: Exception, smaller: str) -> str:
    """Say that memory ran out, and what takes less: ``smaller``."""
    said = str(error).splitlines() or ["no more is to be had"]
    return f"out of memory ({said[0]}); {smaller}"
