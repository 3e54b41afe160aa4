"""What every room asks of frames (n, h, w, c): their colours, their size, and some of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

RATIO_TOLERANCE = 0.02
"""How far a picture's ratio may be from the target's, relative to it, before it counts as a mistake."""

CHUNK_PIXELS = 2**22
"""Pixels worked on at a time: some 50 MB for each float32 copy of them."""

VAE_PIXELS = 2**19
"""Pixels that an autoencoder is given at a time: eight frames of 256x256, for which Stable Diffusion's takes some 4 GB
in float32. More keep a GPU no busier."""


OF_THE_VAE = "Load the VAE in float32 (ComfyUI's --fp32-vae), or check it with a picture of its own"
"""What to do about decoded frames that are not finite."""


class NonFiniteFrames(ValueError):
    """Frames hold NaN or infinity, which a file would show as black or noise."""


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


def grouped(frames: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Frames (h, w, c) in runs of ``count``, the last one shorter: (n, h, w, c) each."""
    frames = iter(frames)
    while run := list(islice(frames, count)):
        yield torch.stack(run) if len(run) > 1 else run[0][None]


def require_frames(frames: Tensor, what: str) -> None:
    """Raise ``ValueError`` unless there is at least one frame (n, h, w, c)."""
    if frames.ndim != 4 or len(frames) < 1:
        raise ValueError(f"got {what} of shape {tuple(frames.shape)}, expected at least one frame: (n, h, w, 3)")


def require_finite(frames: Tensor, first: int, what: str, remedy: str) -> None:
    """Raise `NonFiniteFrames` for NaN or infinity in frames (n, ...), the first of which is number ``first``."""
    for number, frame in enumerate(frames, start=first):
        if not torch.isfinite(frame).all():
            raise NonFiniteFrames(
                f"got NaN or infinity {what} in frame {number}, expected colours from 0 to 1; nothing of it was kept. "
                f"{remedy}"
            )


def require_shape(pictures: torch.Tensor, size: tuple[int, int], what: str) -> None:
    """Raise ``ValueError`` unless pictures (n, h, w, c) have the shape, if not the size, of (width, height)."""
    height, width = pictures.shape[1:3]
    if abs(width / height / (size[0] / size[1]) - 1) > RATIO_TOLERANCE:
        raise ValueError(
            f"got {what} of {width}x{height}, expected the shape of the finished frame, {size[0]}x{size[1]} or the "
            "same ratio; crop or outpaint them to that shape first"
        )


def resize(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Frames (n, h, w, c) resized to (width, height): bilinear, antialiased where they shrink."""
    width, height = size
    if frames.shape[1:3] == (height, width):
        return frames
    planes = rearrange(frames, "n h w c -> n c h w")
    planes = F.interpolate(planes, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return rearrange(planes, "n c h w -> n h w c")


def scale_frames(frames: Tensor, size: tuple[int, int], on_frames: Callable[[int], None] | None = None) -> Tensor:
    """Frames (n, h, w, c), float, 0..1, scaled to (width, height) as a picture is to be seen: sharp, and not aliased.

    ``on_frames(done)`` hears how many are done. Frames that have the size are given back as they are.
    """
    width, height = size
    if frames.shape[1:3] == (height, width):
        return frames
    result = frames.new_empty(len(frames), height, width, frames.shape[3])
    for some in chunks(len(frames), max(frames.shape[2], width), max(frames.shape[1], height)):
        planes = rearrange(frames[some].float(), "n h w c -> n c h w")
        planes = F.interpolate(planes, (height, width), mode="bicubic", antialias=True, align_corners=False)
        result[some] = rearrange(planes.clamp_(0, 1), "n c h w -> n h w c")
        if on_frames:
            on_frames(some.stop)
    return result


def drop_alpha(frames: torch.Tensor) -> torch.Tensor:
    """The colours of frames (n, h, w, 3 or 4). Alpha is ignored, not blended: what is generated has none."""
    if frames.ndim != 4 or frames.shape[-1] not in (3, 4):
        raise ValueError(f"got frames of shape {tuple(frames.shape)}, expected (frames, height, width, 3 or 4)")
    return frames[..., :3]
