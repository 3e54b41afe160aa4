"""What became of each video of a run over many: a line of JSON, written as soon as it is known.

A line before says that the video was begun. A file appears under its name when it is whole, so one that was begun where
there was none, and is there, is done: a kill in between leaves it so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NAME = "manifest.jsonl"
BEGUN, DONE, FAILED = "begun", "done", "failed"


class Manifest:
    """The manifest of a folder of results. A line that a kill has left unfinished is passed over."""

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._last: dict[str, dict[str, Any]] = {}
        self._made: set[str] = set()
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
        for line in text.splitlines():
            try:
                self._remember(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue
        # After a line without an end the next one would not be read either.
        self._torn = bool(text) and not text.endswith("\n")

    def _remember(self, entry: dict[str, Any]) -> None:
        self._last[entry["target"]] = entry
        if entry["outcome"] in (BEGUN, DONE):
            self._made.add(entry["target"])

    def add(self, entry: dict[str, Any]) -> None:
        """Write an entry, which has at least ``target`` and ``outcome``; it is on the disk once this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if self._torn else "") + json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._torn = False
        self._remember(entry)

    def begin(self, asked: dict[str, Any]) -> None:
        """Write that a video is begun, unless a file has its name: then nobody could tell the two apart."""
        if not Path(asked["target"]).exists():
            self.add({**asked, "outcome": BEGUN})

    def made(self, target: str) -> bool:
        """Whether a file of this name was made by a run, not by somebody else."""
        return target in self._made

    def has_done(self, asked: dict[str, Any]) -> bool:
        """Whether a video's target is there, made from what is ``asked``: as its entry began with."""
        last = self._last.get(asked["target"], {})
        same = all(last.get(name) == value for name, value in asked.items())
        return same and last.get("outcome") in (BEGUN, DONE) and Path(asked["target"]).is_file()

    def is_begun(self, target: str) -> bool:
        """Whether nothing is written of a video but that it was begun."""
        return self._last.get(target, {}).get("outcome") == BEGUN
