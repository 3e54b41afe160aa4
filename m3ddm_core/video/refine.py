"""A second pass over a finished video: its scenes once more, on a larger canvas, from what they look like now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from torch import Tensor

from ..canvas.placement import with_canvas
from ..vae import Encode
from .finished import FinishedVideo
from .scenes import OutpaintScene, Scene, encode_scene, put_latents


def refine_scenes(
    finished: FinishedVideo,
    canvas_size: int,
    encode: Encode,
    outpaint: OutpaintScene,
    *,
    fill: str = "smooth",
    on_frame: Callable[[], None] = lambda: None,
) -> list[Scene]:
    """Outpaint the scenes of a whole finished video again on canvases of the target's shape.

    Sampling starts from the finished frames, which are made as they are needed and not kept. The source is known as
    before; what its mask covers starts from the finished frames too. ``canvas_size``: longest side of the canvas in
    pixels; ``outpaint``, ``fill`` and ``on_frame`` as in `outpaint_scenes`. Scenes in which there is
    nothing to do stay as they are.

    Raises ValueError for a canvas size that `place` does not take.
    """
    fps, scenes = float(finished.info.timeline.rate), []
    for number, (scene, pairs) in enumerate(zip(finished.scenes, finished.by_scene(), strict=True)):
        if scene.is_made(1):
            scenes.append(scene)
            continue
        scene = replace(scene, placement=with_canvas(scene.placement, canvas_size, "target"))
        frames, pictures = _apart(pairs)
        state = encode_scene(frames, scene, encode, fps, fill=fill, pictures=pictures, on_frame=on_frame)
        scenes.append(scene)
        outpaint(number, state, partial(put_latents, scenes, number))
    return scenes


def _apart(pairs: Iterator[tuple[Tensor, Tensor]]) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
    """Frames and their pictures. Each picture waits until it is asked for, a few frames after its frame. (A tee would
    keep dozens.)"""
    waiting: deque[Tensor] = deque()

    def frames() -> Iterator[Tensor]:
        for frame, picture in pairs:
            waiting.append(picture)
            yield frame

    def pictures() -> Iterator[Tensor]:
        while True:
            yield waiting.popleft()

    return frames(), pictures()
