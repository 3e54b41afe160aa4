"""The bench: every clip in every case by every method, measured once and remembered.

In the output folder, ``cache/results`` holds what slow methods made and ``cache/measured`` the numbers, each under a
name made from everything that they depend on. A run that was killed goes on where it stopped; a run with other metrics
samples nothing again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .fvd import paired_distance
from .grid import write_grid
from .i3d import I3DFeatures
from .methods import Method
from .metrics import Perceptual, Textural, measure, seam
from .protocol import Case, Clip, Protocol, Source
from .seen import CLAIMED, claimed_regions, claims, looked_around
from .videos import comment_of, read_result, write_result

TRUTH = "truth"
REVISION = 2
"""Of what the metrics compute: numbers measured before it changed are measured again."""


@dataclass(frozen=True)
class Instruments:
    """The networks that measure, None where they are left out. ``identity`` names them as text."""

    perceptual: Perceptual | None = None
    textural: Textural | None = None
    i3d: I3DFeatures | None = None
    identity: str = ""


@dataclass(frozen=True, eq=False)
class Record:
    """One clip, case and method: values by region and metric, and I3D features (windows, d) where there are any."""

    clip: str
    case: Case
    method: str
    values: dict[str, dict[str, float]]
    features: np.ndarray | None
    group: str = ""


@dataclass(eq=False)
class Results:
    """All records; ``truths`` holds each clip's own features, ``skipped`` says of a clip why it could not be used."""

    records: list[Record] = field(default_factory=list)
    truths: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


Watch = Callable[[str, float], None]
"""``watch(what, done)``: what is being worked on, and how many of clips x cases x methods are done, in fractions."""


class Bench:
    """Runs methods over clips into a folder. ``grids``: whether side-by-side videos are written too."""

    def __init__(
        self, folder: Path, protocol: Protocol, methods: Sequence[Method], instruments: Instruments, *, grids: bool
    ):
        labels = [method.label for method in methods]
        if len(set(labels)) < len(labels):
            raise ValueError(f"got methods named {', '.join(labels)}, expected each name once: give them name=...")
        self.folder, self.protocol, self.methods = folder, protocol, methods
        self.instruments, self.grids = instruments, grids
        for part in ("cache/results", "cache/measured", *(["grids"] if grids else [])):
            (folder / part).mkdir(parents=True, exist_ok=True)

    def run(self, sources: Iterable[Source], watch: Watch = lambda what, done: None) -> Results:
        """Measure every clip; a clip that cannot be read is skipped and named.

        Raises what methods raise: a model that fails fails for all clips.
        """
        results = Results()
        share = len(self.protocol.cases) * len(self.methods)
        for number, source in enumerate(sources):
            watch(source.name, number * share)
            clip = _Lazy(source, self.protocol)
            try:
                records = list(self._clip(source, clip, watch, number * share))
                truth = self._truth_features(source, clip)
                self._grid(source, clip)
            except _Unusable as error:
                results.skipped[source.name] = str(error)
                continue
            results.records += records
            if truth is not None:
                results.truths[source.name] = truth
        return results

    def _clip(self, source: Source, clip: _Lazy, watch: Watch, done: int) -> Iterator[Record]:
        for case in self.protocol.cases:
            for method in self.methods:
                what = f"{source.name}, {case.label}, {method.label}"
                watch(what, done)
                report = lambda share, what=what, done=done: watch(what, done + min(share, 1))  # noqa: E731
                entry = self._measured(source, case, method, clip, report)
                features = np.array(entry["features"]) if "features" in entry else None
                yield Record(source.name, case, method.label, entry["values"], features, source.group)
                done += 1

    def _measured(
        self, source: Source, case: Case, method: Method, clip: _Lazy, report: Callable[[float], None]
    ) -> dict[str, Any]:
        path = self._path("measured", self._key(source, case, method), self.instruments.identity, REVISION, ".json")
        if (entry := _read_json(path)) is None:
            truth, placement = clip().frames, case.place(self.protocol.size)
            result = self._result(source, case, method, clip, report)
            regions = clip().regions(placement)
            if method.looks_around:
                regions |= claimed_regions(looked_around(clip().known(placement), placement))
            values = measure(truth, result, regions, self.instruments.perceptual, self.instruments.textural)
            if (jump := seam(result, regions["filled"])) is not None:
                values["filled"]["seam"] = jump
            if CLAIMED in regions:
                values[CLAIMED] |= claims(regions[CLAIMED], regions["filled"], truth, result)
            entry = {"values": values}
            if self.instruments.i3d is not None:
                features = self.instruments.i3d(result)
                if (distance := paired_distance(self._truth_features(source, clip), features)) is not None:
                    values["frame"]["i3d"] = distance
                entry["features"] = features.tolist()
            _write_json(path, entry)
        return entry

    def _result(
        self, source: Source, case: Case, method: Method, clip: _Lazy, report: Callable[[float], None]
    ) -> np.ndarray:
        """The frames a method makes, (n, size, size, 3), uint8; a slow method's are kept."""
        path = self._path("results", self._key(source, case, method), ".mkv")
        if path.is_file():
            return read_result(path)
        placement = case.place(self.protocol.size)
        result = method(clip().known(placement), placement, clip().fps, report, lambda n: clip().frames[list(n)])
        if method.slow:
            write_result(path, result, clip().fps)
        return result

    def _truth_features(self, source: Source, clip: _Lazy) -> np.ndarray | None:
        if self.instruments.i3d is None:
            return None
        path = self._path("measured", source.identity, self.protocol, TRUTH, self.instruments.identity, ".json")
        if (features := _read_json(path)) is None:
            features = self.instruments.i3d(clip().frames).tolist()
            _write_json(path, features)
        return np.array(features)

    def _grid(self, source: Source, clip: _Lazy) -> None:
        if not self.grids:
            return
        path = self.folder / "grids" / (source.name.replace("/", "_").removesuffix(".mp4") + ".mp4")
        key = _digest(source.identity, self.protocol, *(method.identity for method in self.methods))
        if comment_of(path) == key:
            return
        rows = {
            case.label: {
                method.label: self._result(source, case, method, clip, lambda share: None) for method in self.methods
            }
            for case in self.protocol.cases
        }
        cases = {case.label: case.place(self.protocol.size) for case in self.protocol.cases}
        write_grid(path, clip().frames, rows, cases, clip().fps, key)

    def _key(self, source: Source, case: Case, method: Method) -> str:
        protocol = self.protocol
        return _digest(source.identity, protocol.size, protocol.frames, protocol.fit, case, method.identity)

    def _path(self, kind: str, *parts: object) -> Path:
        *parts, suffix = parts
        return self.folder / "cache" / kind / f"{_digest(*parts)}{suffix}"


class _Unusable(Exception):
    """The clip itself is at fault, not what is done with it."""


class _Lazy:
    """A clip that is read when it is first asked for: what is remembered needs no frames."""

    def __init__(self, source: Source, protocol: Protocol):
        self.source, self.protocol = source, protocol
        self.clip: Clip | None = None

    def __call__(self) -> Clip:
        if self.clip is None:
            try:
                self.clip = self.source.load(self.protocol)
            except (ValueError, OSError) as error:
                raise _Unusable(str(error)) from error
        return self.clip


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:24]


def _read_json(path: Path) -> Any:
    """What a file holds; None where there is no such file, or a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _write_json(path: Path, content: object) -> None:
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps(content), encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
