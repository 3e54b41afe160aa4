"""From pixels to what the network is conditioned on: global frames, the state of a video, guide frames.

Frames are (n, h, w, 3), float, 0..1; the VAE is a callable from such frames to latents (n, 4, h / 8, w / 8) in model
space (times 0.18215).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..canvas.build import make_guide_canvas
from ..canvas.fill import fill_border
from ..canvas.placement import LATENT_SCALE, Placement
from ..canvas.quoted import quoted
from ..canvas.source_mask import MASK_THRESHOLD, check_mask, matte_at, read_matte
from ..frames import VAE_PIXELS, chunks, drop_alpha, require_frames, require_shape
from ..vae import Encode
from .frame_numbers import parse_frame_numbers
from .latent_rgb import LatentRgbFit
from .state import OutpaintState

GLOBAL_FRAMES = 16
"""How many the published code takes."""
GLOBAL_FRAME_SIZE = 256


@dataclass(frozen=True, eq=False)
class GlobalFrames:
    """Latents (g, 4, 32, 32), model space, of frames spread over a video of ``source_frames`` frames."""

    latents: Tensor
    source_frames: int


def encode_global_frames(
    frames: Tensor, encode: Encode, count: int = GLOBAL_FRAMES, source_mask: Tensor | None = None
) -> GlobalFrames:
    """Encode ``count`` frames, evenly spaced from first to last and stretched to 256x256.

    source_mask: (1, h, w) for all frames, or one for each and more, float: what it covers is filled smoothly, so that
        the network is not shown what it is to replace.

    Raises ``ValueError`` for an empty video, a count below one or a mask that does not fit.
    """
    require_frames(frames, "global frames")
    distinct, places = once_each(global_numbers(len(frames), count))
    mask = check_mask(source_mask, (frames.shape[2], frames.shape[1]), len(frames), None)
    pictures = global_pictures(frames[distinct], mask if mask is None or len(mask) == 1 else mask[distinct])
    return GlobalFrames(encode_frames(pictures, encode)[places], len(frames))


def global_numbers(frames: int, count: int = GLOBAL_FRAMES) -> list[int]:
    """The numbers of the ``count`` global frames of a video, evenly spaced from first to last.

    Raises ``ValueError`` for a count below one.
    """
    if count < 1:
        raise ValueError(f"got a count of {count} global frames, expected 1 or more; the published code takes 16")
    return np.linspace(0, frames - 1, count, dtype=int).tolist()


def once_each(numbers: list[int]) -> tuple[list[int], list[int]]:
    """The distinct ones of ``numbers``, and where each is among them: a short video repeats frames, encoded once."""
    distinct, places = np.unique(numbers, return_inverse=True)
    return distinct.tolist(), places.tolist()


def global_pictures(frames: Tensor, mask: Tensor | None = None) -> Tensor:
    """Frames (g, h, w, 3 or 4), float, as the network is shown global ones: (g, 256, 256, 3), float32, stretched.

    mask: (1 or g, h, w), float: what it covers is filled smoothly.
    """
    pictures = rearrange(drop_alpha(frames).float(), "g h w c -> g c h w")
    size = (GLOBAL_FRAME_SIZE, GLOBAL_FRAME_SIZE)
    pictures = rearrange(F.interpolate(pictures, size, mode="bilinear", antialias=True), "g c h w -> g h w c")
    matte = read_matte(mask, (frames.shape[2], frames.shape[1]), len(frames))
    return pictures if matte is None else fill_border(pictures, matte_at(matte, size).to(pictures))


def encode_context(
    canvas: Tensor,
    mask: Tensor,
    global_frames: GlobalFrames,
    encode: Encode,
    fps: float,
    placement: Placement | None,
    fill: str = "smooth",
) -> OutpaintState:
    """Encode a filled canvas (n, h, w, 3) and its mask (1 or n, h, w) into the state that sampling starts from.

    What the mask covers (0.5 and above) is blacked out for the masked-video latents; at latent size a mask is its
    top-left pixel of each 8x8 block. Frames that the mask leaves free altogether are known. ``fps``: of the video.
    ``placement`` and ``fill``: those that the canvas was made with, for guide frames.

    Raises ``ValueError`` for sizes, counts or rates that do not belong together.
    """
    require_frames(canvas, "canvas")
    canvas = drop_alpha(canvas)
    n, height, width = canvas.shape[:3]
    if height % LATENT_SCALE or width % LATENT_SCALE:
        raise ValueError(
            f"got a canvas of {width}x{height} pixels, expected sides that are multiples of {LATENT_SCALE}; "
            "make it with make_canvas, which the node M3DDM Edge Mask calls"
        )
    if mask.ndim != 3 or mask.shape[1:] != canvas.shape[1:3] or mask.shape[0] not in (1, n):
        raise ValueError(
            f"got a mask of shape {tuple(mask.shape)} for a canvas of {n} frames of {width}x{height}, expected "
            f"(1, {height}, {width}) for all frames or ({n}, {height}, {width})"
        )
    if global_frames.source_frames != n:
        raise ValueError(
            f"got global frames of a video of {global_frames.source_frames} frames for a canvas of {n} frames; "
            "encode them from the frames that are on the canvas"
        )
    if placement is not None and placement.canvas != (width, height):
        raise ValueError(
            f"got a placement on a canvas of {placement.canvas[0]}x{placement.canvas[1]} and a canvas of {width}x"
            f"{height}, expected one size: give the placement that the canvas was made with"
        )
    if not 0 < fps < float("inf"):
        raise ValueError(f"got fps={fps}, expected a positive number of frames a second")

    hole = mask >= MASK_THRESHOLD
    parts = ((canvas[some], hole if len(hole) == 1 else hole[some]) for some in chunks(n, width, height, VAE_PIXELS))
    return encode_canvas(parts, lambda: global_frames.latents, encode, fps, placement, fill)


def encode_canvas(
    parts: Iterable[tuple[Tensor, Tensor]],
    global_latents: Callable[[], Tensor],
    encode: Encode,
    fps: float,
    placement: Placement | None,
    fill: str,
) -> OutpaintState:
    """The state of a video whose canvas comes in parts, so that it need never be in memory as a whole.

    Each part is some filled frames (k, h, w, 3), float, 0..1, and where they are to be generated: (1 or k, h, w), bool.
    ``global_latents`` is asked for those of the global frames when all parts have passed: they may come with them.
    """
    start, masked, masks, free, fit = [], [], [], [], LatentRgbFit()
    for canvas, hole in parts:
        k, hole = len(canvas), hole.to(canvas.device)
        start.append(encode_frames(canvas, encode))
        fit.add(canvas, start[-1])
        masked.append(encode_frames(canvas.masked_fill(hole[..., None], 0), encode))
        masks.append(hole[:, None, ::LATENT_SCALE, ::LATENT_SCALE].to(start[-1]).expand(k, 1, -1, -1))
        free.append(~hole.flatten(1).any(1).expand(k))
        black = torch.zeros_like(canvas[:1])
    known = frozenset(torch.nonzero(torch.cat(free)).flatten().tolist())
    start = torch.cat(start)
    return OutpaintState(
        start=start,
        masked=torch.cat(masked),
        masks=torch.cat(masks),
        blank=encode_frames(black, encode),
        latents=start,
        global_latents=global_latents(),
        fps=fps,
        known=known,
        guides=known,
        placement=placement,
        fill=fill,
        latent_rgb=fit.latent_rgb(),
    )


def add_guide_frames(state: OutpaintState, images: Tensor, frame_numbers: str, encode: Encode) -> OutpaintState:
    """Make whole frames of the user's own known: ``images`` (m, h, w, 3) at as many ``frame_numbers`` ("0, 30-32, -1").

    Images have the target's shape, of any size; beyond the target the canvas is filled as elsewhere. Without a
    placement they have the canvas's shape.

    Raises ``ValueError`` for numbers that cannot be read, are repeated or out of range, for another number of images,
    or another shape.
    """
    require_frames(images, "guide frames")
    numbers = parse_frame_numbers(frame_numbers, state.num_frames)
    if len(numbers) != len(images):
        raise ValueError(
            f"got {len(images)} guide images for {len(numbers)} frame numbers ({quoted(frame_numbers)}), expected one "
            "number for each image"
        )
    require_shape(images, state.placement.target if state.placement else canvas_size(state), "guide images")
    latents = encode_frames(guide_canvas(state, images), encode)
    return state.with_guides(dict(zip(numbers, latents, strict=True)))


def guide_canvas(state: OutpaintState, images: Tensor) -> Tensor:
    """Put guide images on the canvas (m, ch, cw, 3): in the target's rectangle, or over all of a user's own canvas."""
    if state.placement is not None:
        return make_guide_canvas(images, state.placement, state.fill)
    width, height = canvas_size(state)
    pictures = rearrange(drop_alpha(images).float(), "m h w c -> m c h w")
    pictures = F.interpolate(pictures, (height, width), mode="bilinear", antialias=True)
    return rearrange(pictures, "m c h w -> m h w c")


def canvas_size(state: OutpaintState) -> tuple[int, int]:
    """(width, height) of a state's canvas in pixels."""
    height, width = state.start.shape[-2:]
    return width * LATENT_SCALE, height * LATENT_SCALE


def encode_frames(frames: Tensor, encode: Encode) -> Tensor:
    """Encode frames (n, h, w, 3), of any float, whose sides are multiples of 8: some at a time, in float32.

    Raises ``ValueError`` where the VAE gives another shape than (n, 4, h / 8, w / 8): it is one of another family.
    """
    n, height, width = frames.shape[:3]
    expected = (n, 4, height // LATENT_SCALE, width // LATENT_SCALE)
    latents = torch.cat([encode(frames[some].float()) for some in chunks(n, width, height, VAE_PIXELS)])
    if tuple(latents.shape) != expected:
        raise ValueError(
            f"got latents of shape {tuple(latents.shape)} from the VAE, expected {expected}: M3DDM needs a Stable "
            "Diffusion 1.5 VAE (4 channels, 1/8 size), such as vae-ft-mse-840000-ema-pruned"
        )
    return latents
