"""Some frames at a time, so that a long video does not need several copies of itself."""

from __future__ import annotations

from collections.abc import Iterator

CHUNK_PIXELS = 2**22
"""Pixels worked on at a time: some 50 MB for each float32 copy of them."""

VAE_PIXELS = 2**19
"""Pixels that an autoencoder is given at a time: eight frames of 256x256, for which Stable Diffusion's takes some 4 GB
in float32. More keep a GPU no busier."""


def frames_at_once(width: int, height: int, pixels: int | None = None) -> int:
    """How many frames of the given size are worked on at a time: `pixels` (`CHUNK_PIXELS`) of them, at least one."""
    return max((pixels or CHUNK_PIXELS) // (width * height), 1)


def frames_through_vae(width: int, height: int) -> int:
    """How many frames of the given size an autoencoder is given at a time."""
    return frames_at_once(width, height, VAE_PIXELS)


def chunks(frames: int, width: int, height: int, pixels: int | None = None) -> Iterator[slice]:
    """Slices that cover `frames` frames of the given size, each of `frames_at_once` frames."""
    count = frames_at_once(width, height, pixels)
    return (slice(start, min(start + count, frames)) for start in range(0, frames, count))
