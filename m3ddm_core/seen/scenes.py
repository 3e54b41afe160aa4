"""What was seen of a whole video: of each scene its own recipes, since each may lie elsewhere in the target."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from ..canvas.placement import Placement
from .recipe import Picture, ReadFrame, SceneReport, Seen


class SeenScenes:
    """The recipes of scenes, one after the other; frames are counted from the video's first.

    ``scenes``: of each scene, its frames counted from its own first.
    """

    def __init__(self, scenes: Sequence[Seen]):
        self.scenes = tuple(scenes)
        *self.firsts, self._count = accumulate(map(len, self.scenes), initial=0)

    def __len__(self) -> int:
        return self._count

    @property
    def is_empty(self) -> bool:
        """True where nothing is to be taken for true, in any frame."""
        return not any(scene.share for scene in self.scenes)

    @property
    def reports(self) -> list[SceneReport]:
        """What was found, scene by scene, or part by part of a long one."""
        return [
            replace(report, first=first + report.first, last=first + report.last)
            for first, scene in zip(self.firsts, self.scenes, strict=True)
            for report in scene.scenes
        ]

    def placement(self, number: int) -> Placement:
        """Where a frame lies."""
        return self._scene(number)[0].placement

    def named(self, number: int) -> list[int]:
        """The numbers of the frames that a frame's recipe names."""
        scene, first = self._scene(number)
        return [first + other for other in scene.named(number - first)]

    def on_canvas(self, number: int, read: ReadFrame) -> Picture:
        """As `Seen` has it."""
        scene, first = self._scene(number)
        return scene.on_canvas(number - first, lambda other: read(first + other))

    def on_target(self, number: int, read: ReadFrame) -> Picture:
        """As `Seen` has it."""
        scene, first = self._scene(number)
        return scene.on_target(number - first, lambda other: read(first + other))

    def _scene(self, number: int) -> tuple[Seen, int]:
        """The scene of a frame, and its first frame."""
        place = bisect_right(self.firsts, number) - 1
        return self.scenes[place], self.firsts[place]
