"""What a manifest says in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def ended(folder: Path) -> list[dict[str, Any]]:
    """The entries that say what became of a video, not that it was begun."""
    entries = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    return [entry for entry in entries if entry["outcome"] != "begun"]
