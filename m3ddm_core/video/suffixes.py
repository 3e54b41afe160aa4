"""What video files are called, and which lie in a folder."""

from __future__ import annotations

from pathlib import Path

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".gif")
"""The suffixes that a folder is searched for, in lower case."""


def find_videos(folder: Path) -> list[Path]:
    """The videos in a folder and all that lie in it, in the order of their names, without hidden ones; their paths
    count from the folder."""
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEOS)
    return [
        path for path in found if not any(part.startswith(".") for part in path.parts) and (folder / path).is_file()
    ]
