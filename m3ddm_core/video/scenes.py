"""A video scene by scene: each is outpainted as a video of its own, and only its latents stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from ..canvas.build import Shown, make_canvas, make_start_canvas
from ..canvas.placement import Placement
from ..canvas.source_mask import MASK_THRESHOLD, covers, masks_of
from ..frames import frames_at_once, frames_through_vae, grouped
from ..outpaint.encode import encode_canvas, encode_frames, global_numbers, global_pictures, once_each
from ..outpaint.state import OutpaintState
from ..vae import Encode
from .board import NOTHING, Decision
from .guides import with_guides

OutpaintScene = Callable[[int, OutpaintState, Callable[[Tensor], None]], None]
"""``outpaint(number, state, then)`` runs the levels of a scene and calls ``then(latents)``, now or later."""

ShowFrames = Callable[[int, int], Shown]
"""``show(first, last)``: what other frames show on the canvas of those from ``first`` to before ``last``, in order."""


@dataclass(frozen=True)
class Scene:
    """A run of frames outpainted together: how many, where they lie, and in the end their latents (length, 4, h, w) in
    model space.

    ``mask``: the user's own over the source, (1 or length, h, w), float, if there is anything under it. ``decision``:
    what the board says of it. Where nothing is sampled there are no latents. ``passes``: through so many an earlier run
    has taken it, and the latents are what came of the last.
    """

    length: int
    placement: Placement
    mask: Tensor | None = None
    latents: Tensor | None = None
    decision: Decision = NOTHING
    passes: int = 0

    def __len__(self) -> int:
        return self.length

    @property
    def is_full(self) -> bool:
        """True where there is neither border nor mask: nothing to outpaint."""
        return self.placement.is_full and self.mask is None

    @property
    def is_idle(self) -> bool:
        """True where nothing is sampled: there is nothing to outpaint, or it is to be left as it is."""
        return self.decision.leave or self.is_full

    def is_made(self, number: int) -> bool:
        """True where there is nothing to do in the pass of a number, from 0."""
        return self.is_idle or self.passes > number


def split_scenes(placement: Placement, lengths: Sequence[int], mask: Tensor | None = None) -> list[Scene]:
    """The scenes of a video, of so many frames each, before they are outpainted.

    ``mask``: (1 or all frames, h, w), float; each scene looks at its own part of it,
    and nothing of it is copied.
    """
    scenes, start = [], 0
    for length in lengths:
        part = masks_of(mask, start, start + length)
        scenes.append(Scene(length, placement, part if part is not None and covers(part) else None))
        start += length
    return scenes


def outpaint_scenes(
    frames: Iterator[Tensor],
    scenes: Sequence[Scene],
    encode: Encode,
    outpaint: OutpaintScene,
    fps: float,
    *,
    fill: str = "smooth",
    show: ShowFrames | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> list[Scene]:
    """Outpaint the scenes of a video one after the other, reading ``frames`` (h, w, 3) only as far as the scene goes.

    ``outpaint`` runs the levels of a scene, which has global frames of its own. ``fill``: of its canvas,
    a key of `FILL_METHODS`, beside what ``show`` gives of the video's frames. ``on_frame`` is called for each frame
    that is encoded.
    """
    done, passed, first = [], 0, 0
    for number, scene in enumerate(scenes):
        start, first = first, first + len(scene)
        if scene.is_made(0):
            done.append(scene)
            passed += len(scene)
            continue
        # Frames of scenes in which there is nothing to do are passed over when one comes that has: perhaps none does.
        own = islice(frames, passed, passed + len(scene))
        passed = 0
        of_scene = None if show is None else partial(_shown_from, show, start)
        state = encode_scene(own, scene, encode, fps, fill=fill, show=of_scene, on_frame=on_frame)
        done.append(scene)
        outpaint(number, state, partial(put_latents, done, number))
    return done


def put_latents(scenes: list[Scene], number: int, latents: Tensor) -> None:
    """Put the latents (length, 4, h, w) of a scene where it waits for them."""
    scenes[number] = replace(scenes[number], latents=latents)


def _shown_from(show: ShowFrames, start: int, first: int, last: int) -> Shown:
    return show(start + first, start + last)


def encode_scene(
    frames: Iterator[Tensor],
    scene: Scene,
    encode: Encode,
    fps: float,
    *,
    fill: str = "smooth",
    pictures: Iterator[Tensor] | None = None,
    show: ShowFrames | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> OutpaintState:
    """The state of a scene's frames (h, w, 3), float, 0..1, that come one by one.

    It is what `make_canvas`, `encode_global_frames` and `encode_context` make of the same frames and mask in memory.
    Where ``pictures`` (target height, target width, 3), one for each frame, are to start from, it is
    `make_start_canvas`; else what ``show`` gives of the scene's frames stands in place of the fill. Guides that the
    board names are known.
    """
    placement, mask = scene.placement, scene.mask
    numbers = global_numbers(len(scene))
    shown: dict[int, Tensor] = {}

    def canvases() -> Iterator[tuple[Tensor, Tensor]]:
        number = 0
        for group in grouped(frames, frames_at_once(*placement.source)):
            own = masks_of(mask, number, number + len(group))
            for frame in group:
                if number in numbers:
                    shown[number] = global_pictures(frame[None], masks_of(mask, number, number + 1))[0]
                number += 1
                on_frame()
            if pictures is None:
                shown_here = None if show is None else show(number - len(group), number)
                canvas, hole = make_canvas(group, placement, own, fill=fill, shown=shown_here)
            else:
                finished = next(grouped(pictures, len(group)))
                canvas, hole = make_start_canvas(group, finished, placement, own, fill=fill)
            yield from zip(canvas, (hole >= MASK_THRESHOLD).expand(len(canvas), -1, -1), strict=True)

    def parts() -> Iterator[tuple[Tensor, Tensor]]:
        coming = canvases()
        while part := list(islice(coming, frames_through_vae(*placement.canvas))):
            canvas, hole = (torch.stack(these) for these in zip(*part, strict=True))
            yield canvas, hole

    def global_latents() -> Tensor:
        distinct, places = once_each(numbers)
        return encode_frames(torch.stack([shown[number] for number in distinct]), encode)[places]

    state = encode_canvas(parts(), global_latents, encode, fps, placement, fill)
    return with_guides(state, scene.decision.guides, encode)
