"""Keys of scenes: hashes of all that decides what becomes of each, known before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import torch

from ..canvas.placement import LATENT_SCALE, Placement, with_canvas
from ..journal.digest import digest
from ..seen.look import REVISION as OF_LOOKING
from .guides import read_guides
from .scenes import Scene
from .seen import Uses
from .source import Source

REVISION = 1
"""To be raised whenever other latents or pictures are made of the same inputs."""


class PassKey(NamedTuple):
    """A pass over a scene: the ``key`` of the latents that come of it, and where they lie."""

    key: str
    placement: Placement

    def shape(self, length: int) -> tuple[int, int, int, int]:
        """That of the latents of a scene of so many frames."""
        width, height = self.placement.canvas
        return length, 4, height // LATENT_SCALE, width // LATENT_SCALE


class SceneKeys(NamedTuple):
    """The keys of a scene's latents after each pass, none where nothing is sampled, and of its ``finished`` frames."""

    passes: tuple[PassKey, ...]
    finished: str


@dataclass(frozen=True)
class Asked:
    """What is asked of all scenes alike, beside their placements and decisions, and made by which VAE.

    ``vae``: its recipe, see `Models`. ``fill``, ``uses``, ``blending``: as in `outpaint_source`. ``recipes``: of each
    pass, those of the scenes' samplers. ``second_pass``: as in `Options`.
    """

    vae: str
    fill: str
    uses: Uses
    blending: dict[str, Any]
    recipes: Sequence[Sequence[str]]
    second_pass: int


def scene_keys(source: Source, scenes: Sequence[Scene], asked: Asked) -> list[SceneKeys] | None:
    """The keys of the scenes of a video; None where the source cannot tell its frames before they are made.

    Raises `Unidentified`.
    """
    if source.digests is None:
        return None
    *firsts, _ = accumulate(map(len, scenes), initial=0)
    own = (source.digests[first : first + len(scene)] for first, scene in zip(firsts, scenes, strict=True))
    each = zip(own, scenes, *asked.recipes, strict=True)
    return [_keys(source, frames, scene, asked, recipes) for frames, scene, *recipes in each]


def _keys(source: Source, frames: Sequence[str], scene: Scene, asked: Asked, recipes: Sequence[str]) -> SceneKeys:
    """Every pass begins from the frames that the one before it has finished."""
    pictures = _beginning(source, frames, scene, asked)
    passes: list[PassKey] = []
    placement = scene.placement
    for recipe in () if scene.is_idle else recipes:
        if passes:
            placement = with_canvas(placement, asked.second_pass, "target")
        passes.append(PassKey(digest((pictures, astuple(placement), recipe)), placement))
        pictures = _finished(passes[-1].key, source, asked)
    return SceneKeys(tuple(passes), pictures if passes else _finished(pictures, source, asked))


def _beginning(source: Source, frames: Sequence[str], scene: Scene, asked: Asked) -> str:
    """All that sampling begins from; what is seen around follows from the frames and from where they lie."""
    decision, info = scene.decision, source.info
    guides = [(number % len(scene), picture) for number, picture in read_guides(decision.guides)]
    return digest(
        (
            *(REVISION, OF_LOOKING, str(torch.__version__), asked.vae),
            *(" ".join(frames), float(info.timeline.rate), astuple(scene.placement), scene.mask),
            *(asked.fill, asked.uses.start, asked.uses.known, decision.leave, guides),
        )
    )


def _finished(latents: str, source: Source, asked: Asked) -> str:
    """All that frames are finished from. Those around are kept as bytes or not, by the source's depth of colours."""
    return digest((latents, asked.blending, asked.uses.layer, source.info.bit_depth))
