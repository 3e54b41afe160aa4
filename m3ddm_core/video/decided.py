"""Scenes as the board has them: each at its own place in the same target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..canvas.framing import Framing
from ..canvas.placement import Placement
from .board import Decision
from .guides import check_guides
from .scenes import Scene


def decided(
    scenes: Sequence[Scene], decisions: Sequence[Decision], framing: Framing, size: tuple[int, int]
) -> list[Scene]:
    """The scenes with what is decided for each.

    framing: what is asked of the whole video, whose frames are of ``size`` (width, height), not scaled yet.
    Raises ValueError for a place outside the target, and for guides that do not fit, before anything is encoded.
    """
    found, first = [], 0
    for scene, decision in zip(scenes, decisions, strict=True):
        try:
            placement = _placed(scene.placement, decision, framing, size)
            check_guides(decision.guides, len(scene), placement.target)
        except ValueError as error:
            raise ValueError(f"the board's scene at frame {first}: {error}") from error
        found.append(replace(scene, placement=placement, decision=decision))
        first += len(scene)
    return found


def _placed(placement: Placement, decision: Decision, framing: Framing, size: tuple[int, int]) -> Placement:
    if not decision.is_placed:
        return placement
    return framing.moved(size, decision.anchor or framing.anchor, decision.offset).place(size)
