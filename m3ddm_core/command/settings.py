"""The settings among the arguments of ``outpaint``, and what reads each: --help is not to wait for torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SAMPLING = {
    "steps": int,
    "sampler": str,
    "scheduler": str,
    "context_scale": float,
    "global_scale": float,
    "guidance_start": float,
    "guidance_end": float,
    "unconditional_every": int,
    "denoise": float,
    "guide_noise": int,
    "clips_per_batch": int,
}
"""The flat names of `SamplingSettings` and what reads them."""


def _numbers(count: int) -> Callable[[str], tuple[int, ...]]:
    def read(text: str) -> tuple[int, ...]:
        numbers = tuple(int(part) for part in text.replace(",", " ").split())
        if len(numbers) != count:
            raise ValueError(f"{count} whole numbers")
        return numbers

    return read


def read_bit_rate(text: str) -> int:
    """Bits a second, as 800k, 8M or 8000000. Raises ValueError for what is no number."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    return round(float(text[:-1] if factor > 1 else text) * factor)


SETTINGS: dict[str, Callable[[str], Any]] = {
    "ratio": str,
    "pixels": _numbers(4),
    "anchor": str,
    "offset": _numbers(2),
    "canvas_size": int,
    "canvas_shape": str,
    "fill": str,
    "size_multiple": int,
    "size": str,
    "preset": str,
    "seed": int,
    "second_pass": int,
    "second_denoise": float,
    "seen": str,
    "cut_threshold": float,
    "first_frames": int,
    "feather": int,
    "colour_match": str,
    "resampling": str,
    "blend": str,
    "crop": _numbers(4),
    "deinterlace": str,
    "format": str,
    "quality": float,
    "bit_rate": read_bit_rate,
    "bit_depth": int,
    **{name: kind for name, kind in SAMPLING.items() if name != "clips_per_batch"},
}
"""What a table may have columns for, and what reads them: all that decides a result, by the names of the arguments."""
SHAPES = ("ratio", "pixels")
"""One of them tells the target's shape: one in a table takes the place of either on the command line."""
