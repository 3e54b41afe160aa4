"""Checkpoint files that are broken, mistaken or hostile, made from one small network; the same ones every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from . import archives, damage, folders, headers, networks, pickles, places
from .case import EITHER, RIGHT, TOLD, Case

__all__ = ["EITHER", "RIGHT", "TOLD", "Case", "all_cases"]

ROOMS = (damage, headers, networks, pickles, archives, folders, places)


def all_cases() -> list[Case]:
    """Return the whole table. Names are unique."""
    found = [case for room in ROOMS for case in room.cases()]
    twice = [name for name, count in Counter(map(str, found)).items() if count > 1]
    assert not twice, twice
    return found


def by_kind(cases: list[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Yield each kind of case with its cases, in the table's order."""
    for kind in dict.fromkeys(case.kind for case in cases):
        yield kind, [case for case in cases if case.kind == kind]
