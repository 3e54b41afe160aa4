"""The scene board: what is decided for single scenes of a video, as JSON that people and programs write.

    {"cuts": [48, 96],
     "scenes": [{"first": 0},
                {"first": 48, "anchor": [0.2, 0.5], "seed": 7},
                {"first": 96, "guides": {"0": "guide.png"}, "leave": false}]}

A scene is named by its first frame. One that is not named, and whatever is not said of one that is, is as for the whole
video. With ``cuts``, the frames at which all scenes but the first begin, they are not looked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..canvas.placement import ANCHORS, Anchor
from ..canvas.quoted import quoted

MOST_CHARACTERS = 1_000_000
"""Of a board's text: some ten thousand scenes."""
MOST_BYTES = 4 * MOST_CHARACTERS
MOST_FRAMES = 10**9
MOST_SEED = 2**64 - 1

CUTS, SCENES, FIRST = "cuts", "scenes", "first"
AGAIN = "have the scenes listed once more, or correct the board"

FindGuide = Callable[[str], Path]
"""Gives the file that a guide's name stands for. Raises ValueError or OSError for one that it does not take."""


@dataclass(frozen=True)
class Decision:
    """What is decided for a scene. What is None or empty is as for the whole video.

    ``anchor`` or ``offset``: where the source lies in the target, as `place` has it. ``seed``: of its noise.
    ``guides``: whole frames of the user's own, each a frame number, counted from the scene's first or, below 0, from
    its end, and a picture. ``leave``: nothing is generated; the source lies on black.
    """

    anchor: Anchor | None = None
    offset: tuple[int, int] | None = None
    seed: int | None = None
    guides: tuple[tuple[int, Path], ...] = ()
    leave: bool = False

    @property
    def is_placed(self) -> bool:
        """Whether it says where the source lies."""
        return self.anchor is not None or self.offset is not None


NOTHING = Decision()


@dataclass(frozen=True)
class Board:
    """Decisions by their scene's first frame, and the cuts, None where they are to be found."""

    scenes: Mapping[int, Decision] = field(default_factory=dict)
    cuts: tuple[int, ...] | None = None

    def cuts_before(self, count: int, *, shortened: bool) -> list[int] | None:
        """The cuts of a video of ``count`` frames, None where they are to be found. ``shortened``: it is the beginning
        of another, and what comes later does not count.

        Raises ValueError for a cut that is beyond its end.
        """
        if self.cuts is None:
            return None
        beyond = [cut for cut in self.cuts if cut >= count]
        if beyond and not shortened:
            raise ValueError(
                f"got a cut at frame {beyond[0]} in the board and a video of {count} frames, expected the video that "
                f"the board was made for; {AGAIN}"
            )
        return [cut for cut in self.cuts if cut < count]

    def decisions(self, cuts: Sequence[int], count: int, *, shortened: bool) -> list[Decision]:
        """What is decided for each scene of a video with these cuts. Raises ValueError for scenes that it has not."""
        firsts = [0, *cuts]
        unknown = sorted(self.scenes.keys() - set(firsts))
        if shortened:
            unknown = [first for first in unknown if first < count]
        if unknown:
            raise ValueError(
                f"got a scene that begins at frame {unknown[0]} in the board, expected a frame at which one begins: "
                f"{_listed(firsts)}; {AGAIN}"
            )
        return [self.scenes.get(first, NOTHING) for first in firsts]


def read_board(text: str, find_guide: FindGuide) -> Board:
    """Read a board's JSON; an empty text says nothing of any scene.

    Raises ValueError, with one line, for what is none, and what ``find_guide`` raises.
    """
    if not text.strip():
        return Board()
    try:
        return _read(_parse(text), find_guide)
    except RecursionError:
        raise ValueError(f"got a board that is nested too deep, expected a list of scenes; {AGAIN}") from None


def write_board(cuts: Sequence[int], decided: str = "") -> str:
    """A board's JSON, ready to be edited: the cuts, and a line for every scene, with what is ``decided`` of it on an
    earlier board."""
    entries = _parse(decided).get(SCENES, []) if decided.strip() else []
    said = {entry[FIRST]: entry for entry in entries}
    lines = [json.dumps({FIRST: first, **said.get(first, {})}, ensure_ascii=False) for first in (0, *cuts)]
    return f'{{"{CUTS}": {json.dumps(list(cuts))},\n "{SCENES}": [\n  {_joined(lines)}\n ]}}\n'


def _joined(lines: Iterable[str]) -> str:
    return ",\n  ".join(lines)


def _read(whole: dict[str, Any], find_guide: FindGuide) -> Board:
    _require_known(whole, (CUTS, SCENES), "the board")
    scenes: dict[int, Decision] = {}
    for number, entry in enumerate(_list(whole.get(SCENES, []), f"for {SCENES} in the board"), start=1):
        first, decision = _read_scene(entry, f"scene {number} of the board", find_guide)
        if first in scenes:
            raise ValueError(f"got two scenes that begin at frame {first} in the board, expected one; take one out")
        scenes[first] = decision
    return Board(scenes, _read_cuts(whole[CUTS]) if CUTS in whole else None)


def _parse(text: str) -> dict[str, Any]:
    if len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"got a board of {len(text):,} characters, expected at most {MOST_CHARACTERS:,}; leave out scenes of which "
            "nothing is said"
        )
    try:
        whole = json.loads(text, object_pairs_hook=_apart)
    except ValueError as error:
        raise ValueError(f"got a board that is no JSON ({error}), expected a list of scenes; {AGAIN}") from None
    if not isinstance(whole, dict):
        raise ValueError(f'got the board {quoted(whole)}, expected {{"{SCENES}": [...]}}; {AGAIN}')
    return whole


def _apart(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's entries, of which JSON would take the last of one name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{quoted(twice)} stands twice in one place")
    return found


def _read_cuts(given: Any) -> tuple[int, ...]:
    cuts = tuple(_list(given, f"for {CUTS} in the board"))
    for before, cut in zip((0, *cuts), cuts, strict=False):
        if not _is_count(cut) or cut <= before:
            raise ValueError(
                f"got {quoted(cut)} among the cuts of the board, expected frame numbers above 0 that rise; {AGAIN}"
            )
    return cuts


def _read_scene(entry: Any, where: str, find_guide: FindGuide) -> tuple[int, Decision]:
    if not isinstance(entry, dict) or not _is_count(entry.get(FIRST)):
        raise ValueError(
            f'got {quoted(entry)} for {where}, expected the frame at which it begins, as in {{"{FIRST}": 48}}, and '
            "what is decided for it"
        )
    first = entry[FIRST]
    where = f"the board's scene at frame {first}"
    _require_known(entry, (FIRST, "anchor", "offset", "seed", "guides", "leave"), where)
    if "anchor" in entry and "offset" in entry:
        raise ValueError(f"got an anchor and an offset for {where}, expected one of the two; take one out")
    readers = {"anchor": _read_anchor, "offset": _read_offset, "seed": _read_seed, "leave": _read_leave}
    read = {name: reader(entry[name], where) for name, reader in readers.items() if name in entry}
    if "guides" in entry:
        read["guides"] = _read_guides(entry["guides"], where, find_guide)
    return first, Decision(**read)


def _read_anchor(value: Any, where: str) -> Anchor:
    if isinstance(value, str) and value in ANCHORS:
        return value
    if isinstance(value, list) and len(value) == 2 and all(_is_share(share) for share in value):
        return value[0], value[1]
    raise ValueError(
        f"got the anchor {quoted(value)} for {where}, expected one of {', '.join(ANCHORS)}, or two numbers from 0 to 1 "
        "as in [0.5, 0.5]: how much of the spare room goes to the left, and above"
    )


def _read_offset(value: Any, where: str) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(_is_count(part) for part in value):
        return value[0], value[1]
    raise ValueError(f"got the offset {quoted(value)} for {where}, expected source pixels, 0 or more, as in [0, 120]")


def _read_seed(value: Any, where: str) -> int:
    if type(value) is int and 0 <= value <= MOST_SEED:
        return value
    raise ValueError(f"got the seed {quoted(value)} for {where}, expected a whole number from 0 to {MOST_SEED}")


def _read_leave(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"got {quoted(value)} for leave of {where}, expected true or false")


def _read_guides(value: Any, where: str, find_guide: FindGuide) -> tuple[tuple[int, Path], ...]:
    expected = 'expected frame numbers and pictures, as in {"0": "first.png", "-1": "last.png"}'
    if not isinstance(value, dict):
        raise ValueError(f"got the guides {quoted(value)} for {where}, {expected}")
    found = []
    for number, name in value.items():
        if not _is_number(number) or not isinstance(name, str) or not name.strip():
            raise ValueError(f"got the guide {quoted(number)}: {quoted(name)} for {where}, {expected}")
        found.append((int(number), find_guide(name)))
    return tuple(found)


def _require_known(entry: Mapping[str, Any], known: Collection[str], where: str) -> None:
    unknown = [name for name in entry if name not in known]
    if unknown:
        raise ValueError(f"got {quoted(unknown[0])} in {where}, expected only {', '.join(known)}; take it out")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"got {quoted(value)} {where}, expected a list: [...]")
    return value


def _is_count(value: Any) -> bool:
    """Whether it is a whole number of frames or pixels; true is none."""
    return type(value) is int and 0 <= value <= MOST_FRAMES


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 9


def _listed(firsts: Sequence[int], most: int = 12) -> str:
    shown = ", ".join(map(str, firsts[:most]))
    return f"{shown} ... ({len(firsts)} scenes)" if len(firsts) > most else shown
