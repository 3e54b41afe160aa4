"""The videos of a run over many: those of a folder, of a list, or of a table that has settings for each."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..video.formats import Encoding
from ..video.suffixes import VIDEOS, find_videos
from .settings import SETTINGS

LIST, TABLE = ".txt", ".csv"
DELIMITERS = ",;\t"
"""Of a table's columns: spreadsheets write the second where the first stands in numbers."""


@dataclass(frozen=True)
class Job:
    """A video: ``source`` to be outpainted into ``target``, with ``settings`` of its own."""

    source: Path
    target: Path
    settings: dict[str, Any] = field(default_factory=dict)


def is_many(source: Path) -> bool:
    """Whether a path names many videos: a folder, a list or a table."""
    return source.is_dir() or source.suffix.lower() in (LIST, TABLE)


def find_jobs(source: Path, out: Path, format: str = "h264") -> list[Job]:
    """Find the videos that a folder, list or table names, each with its target in the folder ``out``.

    A folder is searched with all that lie in it, in the order of their names; their places in ``out`` are the same. A
    list has a path a line, a table the column ``source``, and if need be ``target`` and any of `SETTINGS`; their paths
    count from where they lie. ``format``: the kind of file to write, unless a table says otherwise.

    Raises ValueError for what names no video, names one twice, or holds what cannot be read.
    """
    if not source.exists():
        raise FileNotFoundError(f"got {source}, where nothing lies; expected a folder, a list or a table of videos")
    if source.is_dir():
        jobs = _jobs_of_folder(source, out, format)
    elif source.suffix.lower() == TABLE:
        jobs = _jobs_of_table(source, out, format)
    else:
        jobs = _jobs_of_list(source, out, format)
    if not jobs:
        raise ValueError(f"got {source}, which names no video, expected at least one ({', '.join(VIDEOS)})")
    _require_apart(jobs)
    return jobs


def _jobs_of_folder(folder: Path, out: Path, format: str) -> list[Job]:
    own = out.resolve()
    found = [path for path in find_videos(folder) if own not in (folder / path).resolve().parents]
    targets = _targets(found, [format] * len(found))
    return [Job(folder / path, out / target) for path, target in zip(found, targets, strict=True)]


def _jobs_of_list(file: Path, out: Path, format: str) -> list[Job]:
    lines = (line.strip() for line in _text(file).splitlines())
    named = [file.parent / line for line in lines if line and not line.startswith("#")]
    targets = _targets([Path(path.name) for path in named], [format] * len(named))
    return [Job(path, out / target) for path, target in zip(named, targets, strict=True)]


def _jobs_of_table(file: Path, out: Path, format: str) -> list[Job]:
    text = _text(file)
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    columns = [name.strip().lower().replace("-", "_") for name in rows.fieldnames or []]
    unknown = sorted(set(columns) - {"source", "target", *SETTINGS})
    if "source" not in columns or unknown:
        raise ValueError(
            f"got the columns {', '.join(columns) or 'none'} in {file}, expected source, and if need be target, "
            f"{', '.join(SETTINGS)}"
        )
    rows.fieldnames = columns
    given = [{name: value.strip() for name, value in row.items() if name and value and value.strip()} for row in rows]
    given = [row for row in given if row]
    for number, row in enumerate(given, start=1):
        if "source" not in row:
            raise ValueError(f"got no source in row {number} of {file}, expected a path in each row")
    names = [Path(Path(row["source"]).name) for row in given]
    targets = _targets(names, [row.get("format", format) for row in given])
    return [
        Job(
            file.parent / row["source"],
            out / row.get("target", target),
            {name: _read(name, text, number, file) for name, text in row.items() if name in SETTINGS},
        )
        for number, (row, target) in enumerate(zip(given, targets, strict=True), start=1)
    ]


def _read(name: str, text: str, row: int, file: Path) -> Any:
    try:
        return SETTINGS[name](text)
    except ValueError:
        expected = {int: "a whole number", float: "a number"}.get(SETTINGS[name], "whole numbers, as in 10 0 10 0")
        raise ValueError(f"got {text!r} for {name} in row {row} of {file}, expected {expected}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"got {file}, which is not text in UTF-8, expected that; save it so") from None


def _targets(names: Sequence[Path], formats: Sequence[str]) -> list[Path]:
    """Names of files for videos, each of its format; those of one name with different suffixes keep theirs in front."""
    suffixes = [Encoding(format).kind.suffix for format in formats]
    wanted = [path.with_suffix(suffix) for path, suffix in zip(names, suffixes, strict=True)]
    folded = [str(path).casefold() for path in wanted]
    return [
        path if folded.count(fold) == 1 else name.with_name(f"{name.name}{suffix}")
        for name, path, fold, suffix in zip(names, wanted, folded, suffixes, strict=True)
    ]


def _require_apart(jobs: Sequence[Job]) -> None:
    """Raise ValueError where two videos would be written to one file."""
    taken: dict[str, Job] = {}
    for job in jobs:
        other = taken.setdefault(str(job.target).casefold(), job)
        if other is not job:
            raise ValueError(
                f"got {other.source} and {job.source}, which would both be written to {job.target}, expected a target "
                "for each; name it in the column target of a table"
            )
