"""What video files are called."""

from __future__ import annotations

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".gif")
"""The suffixes that a folder is searched for, in lower case."""
