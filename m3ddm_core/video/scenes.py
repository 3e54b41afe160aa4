"""A video scene by scene: each is outpainted as a video of its own, and only its latents stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from ..canvas import make_start_canvas, placement_mask, put_on_canvas
from ..chunks import frames_at_once, frames_through_vae
from ..context import MASK_THRESHOLD, Encode, encode_canvas, encode_frames, global_numbers, global_pictures
from ..geometry import Placement
from ..state import OutpaintState
from .source import grouped


@dataclass(frozen=True)
class Scene:
    """A run of frames outpainted together: where they lie, and their latents (n, 4, h, w) in model space.

    Where there was nothing to outpaint there are no latents.
    """

    placement: Placement
    latents: Tensor | None

    def __len__(self) -> int:
        return self.placement.frames


def outpaint_scenes(
    frames: Iterator[Tensor],
    lengths: list[int],
    placement: Placement,
    encode: Encode,
    outpaint: Callable[[int, OutpaintState], OutpaintState],
    fps: float,
    *,
    on_frame: Callable[[], None] = lambda: None,
) -> list[Scene]:
    """Outpaint the scenes of a video one after the other, reading ``frames`` (h, w, 3) only as far as the scene goes.

    ``lengths``: frames of each scene. ``placement``: of the whole video. ``outpaint(number, state)`` runs the levels of
    a scene, which has global frames of its own. ``on_frame`` is called for each frame that is encoded.
    """
    scenes = []
    for number, length in enumerate(lengths):
        own = replace(placement, frames=length, source_frames=length)
        if placement.is_full:
            scenes.append(Scene(own, None))
            continue
        state = encode_scene(islice(frames, length), own, encode, fps, on_frame=on_frame)
        scenes.append(Scene(own, outpaint(number, state).latents))
    return scenes


def encode_scene(
    frames: Iterator[Tensor],
    placement: Placement,
    encode: Encode,
    fps: float,
    *,
    pictures: Iterator[Tensor] | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> OutpaintState:
    """The state of ``placement.frames`` frames (h, w, 3), float, 0..1, that come one by one.

    It is what `make_canvas`, `encode_global_frames` and `encode_context` make of the same frames in memory. Where
    ``pictures`` (target height, target width, 3), one for each frame, are to start from, it is `make_start_canvas`.
    """
    numbers = global_numbers(placement.frames)
    shown: dict[int, Tensor] = {}
    hole = placement_mask(placement) >= MASK_THRESHOLD

    def canvases() -> Iterator[Tensor]:
        number = 0
        for group in grouped(frames, frames_at_once(*placement.source)):
            for frame in group:
                if number in numbers:
                    shown[number] = global_pictures(frame[None])[0]
                number += 1
                on_frame()
            if pictures is None:
                yield from put_on_canvas(group, placement, placement.canvas_source)
            else:
                some = replace(placement, frames=len(group), source_frames=len(group))
                yield from make_start_canvas(group, next(grouped(pictures, len(group))), some)[0]

    def global_latents() -> Tensor:
        return encode_frames(torch.stack([shown[number] for number in numbers]), encode)

    parts = ((canvas, hole) for canvas in grouped(canvases(), frames_through_vae(*placement.canvas)))
    return encode_canvas(parts, global_latents, encode, fps, placement)
