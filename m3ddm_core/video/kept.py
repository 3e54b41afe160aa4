"""The scenes of a video that an earlier run has finished: found in the journal by their keys, and put there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from ..journal.digest import Unidentified
from ..journal.scenes import SceneJournal
from ..journal.store import Journal
from .progress import Pass, clips_of
from .scene_keys import SceneKeys
from .scenes import Scene


class KeptScenes:
    """The scenes of one video in a journal, under ``keys``; none without both. ``passes``: those that are asked for."""

    def __init__(self, journal: Journal | None, keys: Sequence[SceneKeys] | None, passes: Sequence[Pass]):
        self._journal = SceneJournal(journal) if journal is not None else None
        self._keys, self._passes = keys, passes

    @property
    def finished(self) -> list[str] | None:
        """Of each scene the key of its finished frames."""
        return self._keys and [own.finished for own in self._keys]

    def take_up(self, scenes: Sequence[Scene]) -> list[Scene]:
        """The scenes, each as far as an earlier run has taken it."""
        if self._keys is None:
            return list(scenes)
        taken = [self._take(scene, own) for scene, own in zip(scenes, self._keys, strict=True)]
        count = sum(scene.passes > 0 for scene in taken)
        if count:
            logging.info("M3DDM: taking up %d of %d scenes, which an earlier run finished.", count, len(taken))
        return taken

    def put(self, number: int, scene: int, latents: Tensor) -> None:
        """Keep what came of the pass of a number, from 0, over the scene of another."""
        if self._keys is not None:
            self._journal.put(self._keys[scene].passes[number].key, latents)

    def _take(self, scene: Scene, keys: SceneKeys) -> Scene:
        """The latest pass is enough: those before it were only on the way."""
        for done in range(len(keys.passes), 0, -1):
            made = keys.passes[done - 1]
            clips = sum(clips_of(len(scene), one.strides) for one in self._passes[:done])
            latents = self._journal.take(made.key, made.shape(len(scene)), clips)
            if latents is not None:
                return replace(scene, placement=made.placement, latents=latents, passes=done)
        return scene


def kept_scenes(
    journal: Journal | None, make_keys: Callable[[], Sequence[SceneKeys] | None], passes: Sequence[Pass]
) -> KeptScenes:
    """The scenes of a video in a journal, if there is one and it can be told what decides them; if it cannot, that is
    logged."""
    try:
        return KeptScenes(journal, make_keys() if journal is not None else None, passes)
    except Unidentified as error:
        logging.info("M3DDM: whole scenes are not kept, and are encoded again in the next run: %s.", error)
        return KeptScenes(None, None, passes)
