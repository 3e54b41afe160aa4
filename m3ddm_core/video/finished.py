"""Finished frames, made when they are asked for: decoded, composited, and let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate, islice
from typing import Any

from torch import Tensor

from ..canvas.placement import Placement
from ..canvas.source_mask import masks_of
from ..composite.compositor import FEATHER, Compositor
from ..composite.seen_layer import lay_over
from ..frames import OF_THE_VAE, frames_at_once, frames_through_vae, grouped, require_finite
from ..journal.digest import digest
from ..seen.around import Around, as_bytes, as_halves
from ..seen.scenes import SeenScenes
from ..vae import Decode
from .formats import EIGHT_BIT
from .scenes import Scene
from .shots import Shot
from .source import InOrder, Source, VideoInfo


class FinishedVideo:
    """An outpainted video, itself a source: its frames can be written, or outpainted again.

    ``first`` and ``last`` choose the frames from ``first`` to before ``last``. ``blending``: the options of
    `Compositor`. ``seen``: what other frames show of the borders, laid over what was generated. ``keys``: of each scene
    a hash of all that decides its frames. Scenes that are left as they are lie on black. Interrupting or abandoning
    ``frames`` leaves nothing behind. They raise `NonFiniteFrames` where the VAE decodes what is no picture.
    """

    def __init__(
        self,
        source: Source,
        scenes: Sequence[Scene],
        decode: Decode,
        blending: dict[str, Any],
        first: int = 0,
        last: int | None = None,
        seen: SeenScenes | None = None,
        keys: Sequence[str] | None = None,
    ):
        self.source, self.scenes, self.decode, self.blending = source, scenes, decode, blending
        self.seen, self.keys = seen, keys
        whole = source.info.timeline
        self.first, self.last = first, len(whole) if last is None else last
        self.info: VideoInfo = replace(
            source.info, size=scenes[0].placement.target, timeline=whole.cut(self.first, self.last)
        )
        self.sound = source.sound and source.sound.cut(whole.second(self.first), whole.second(self.last))

    def part(self, first: int, last: int) -> FinishedVideo:
        """The frames from ``first`` to before ``last`` of these."""
        chosen = self.first + first, self.first + last
        return FinishedVideo(self.source, self.scenes, self.decode, self.blending, *chosen, self.seen, self.keys)

    @property
    def thumbnails(self) -> Tensor:
        """(n, 36, 64, 3), uint8, of the source: its cuts are the finished video's."""
        return self.source.thumbnails[self.first : self.last]

    digests = None
    """Frames are hashed as they are read, and these are not there yet."""

    def frames(self) -> Iterator[Tensor]:
        """Each finished frame (h, w, 3), float32, 0..1."""
        return (finished for pairs in self.by_scene() for _, finished in pairs)

    def shots(self) -> Iterator[Shot]:
        """Each scene, or what there is of it, as a shot: its frames are finished when they are asked for."""
        *firsts, end = accumulate(map(len, self.scenes), initial=0)
        keys = self.keys or [None] * len(self.scenes)
        chosen = [
            (max(first, self.first), min(last, self.last), first, key)
            for first, last, key in zip(firsts, [*firsts[1:], end], keys, strict=True)
            if self.first < last and first < self.last
        ]
        for (first, last, begin, key), pairs in zip(chosen, self.by_scene(), strict=True):
            own = key and digest((key, first - begin, last - begin))
            yield Shot(first - self.first, last - self.first, (finished for _, finished in pairs), own)

    def by_scene(self) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
        """Of each scene, each frame of the source and the finished one.

        What is not asked for before the next scene is not made, and of the source only passed over.
        """
        frames, around, start = InOrder(self.source.frames()), cache(self._around), 0
        for scene in self.scenes:
            end = start + len(scene)
            if self.first < end and start < self.last:
                own = self._finish(frames.between(start, end), scene, start, around)
                yield islice(own, max(self.first - start, 0), self.last - start)
            start = end

    def _around(self) -> Around | None:
        """The frames around each, if anything of them is laid over it."""
        if self.seen is None or self.seen.is_empty:
            return None
        return Around(self.source.frames(), self.seen, as_bytes if self.info.bit_depth == EIGHT_BIT else as_halves)

    def _finish(
        self, frames: Iterator[Tensor], scene: Scene, first: int, make_around: Callable[[], Around | None]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The frames of a scene that begins with frame ``first``, each with the finished one."""
        if scene.decision.leave:
            yield from ((frame, _on_black(frame, scene.placement)) for frame in frames)
            return
        if scene.is_full:
            yield from ((frame, frame) for frame in frames)
            return
        compositor, around = Compositor(scene.placement, **self.blending), make_around()
        at_once, number = frames_at_once(*scene.placement.target), 0
        for latents in scene.latents.split(frames_through_vae(*scene.placement.canvas)):
            generated = self.decode(latents)
            require_finite(generated, first + number, "from the VAE", OF_THE_VAE)
            for part in generated.split(at_once):
                source, mask = next(grouped(frames, len(part))), masks_of(scene.mask, number, number + len(part))
                pictures = compositor(source, part, mask)
                for own, picture in zip(source, pictures, strict=True):
                    yield own, picture if around is None else self._laid_over(picture, own, first + number, around)
                    number += 1

    def _laid_over(self, picture: Tensor, source: Tensor, number: int, around: Around) -> Tensor:
        """A finished frame with what the frames around have filmed of it."""
        found = self.seen.on_target(number, around.of(number))
        feather = self.blending.get("feather", FEATHER)
        return lay_over(picture, source, found.pixels, found.known, self.seen.placement(number), feather)


def _on_black(frame: Tensor, placement: Placement) -> Tensor:
    """A frame (h, w, 3) where it lies in the target, (H, W, 3), and nothing around it."""
    (x, y), (width, height) = placement.offset, placement.source
    target = frame.new_zeros(placement.target[1], placement.target[0], 3)
    target[y : y + height, x : x + width] = frame
    return target
