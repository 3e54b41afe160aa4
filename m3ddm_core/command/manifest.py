"""What became of each video of a run over many: a line of JSON each, written as soon as it is known."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NAME = "manifest.jsonl"
DONE, FAILED = "done", "failed"


class Manifest:
    """The manifest of a folder of results. A line that a kill has left unfinished is passed over."""

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._last = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        """The last entry of each target."""
        last = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    last[entry["target"]] = entry
                except (ValueError, KeyError, TypeError):
                    continue
        return last

    def add(self, entry: dict[str, Any]) -> None:
        """Write an entry, which has at least ``target`` and ``outcome``; it is on the disk once this returns."""
        # After a line without an end this one would not be read either.
        torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._last[entry["target"]] = entry

    def names(self, target: str) -> bool:
        """Whether a file was made, or tried to be, by an earlier run."""
        return target in self._last

    def has_done(self, asked: dict[str, Any]) -> bool:
        """Whether a video's target is there, made from what is ``asked``: as its entry began with."""
        last = self._last.get(asked["target"], {})
        same = all(last.get(name) == value for name, value in asked.items())
        return last.get("outcome") == DONE and same and Path(asked["target"]).is_file()
