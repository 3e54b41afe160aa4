"""The video files of a folder that can be trained on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..video.indexed import IndexedVideo
from ..video.reader import BrokenVideo

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".gif")


@dataclass(frozen=True)
class Folder:
    """The videos found in a folder, and what was passed over: file names with the reason."""

    videos: tuple[IndexedVideo, ...]
    skipped: dict[str, str]


def scan_folder(folder: str | os.PathLike[str], least_frames: int) -> Folder:
    """Look at every video under a folder; unreadable and too short ones are skipped and named, never fatal.

    Raises ``ValueError`` where no video is left.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    videos, skipped = [], {}
    for path in paths:
        try:
            video = IndexedVideo.of(path)
        except BrokenVideo as error:
            skipped[str(path.relative_to(folder))] = str(error)
            continue
        if video.num_frames < least_frames:
            skipped[str(path.relative_to(folder))] = f"{video.num_frames} frames, fewer than {least_frames}"
        else:
            videos.append(video)
    if not videos:
        first = "".join(f"\n  {name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise ValueError(
            f"got {folder} with {len(paths)} video files of which none can be used, expected at least one of "
            f"{least_frames} frames or more ({', '.join(SUFFIXES)}){first}"
        )
    return Folder(tuple(videos), skipped)
