"""Clips from files, videos and folders of pictures; and results that are kept as files."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..video.reader import BrokenVideo, read_facts, read_pictures
from ..video.source import VideoInfo
from ..video.suffixes import VIDEOS
from ..video.writer import write_lossless
from .protocol import LEAST_FRAMES, Clip, Protocol, Source

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
PICTURES_FPS = 24.0
"""The rate of a folder of pictures, which does not tell; DAVIS's is 24."""

READING = 2
"""Of how files are read: what was made of a clip before that changed is made again."""


def find_clips(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> list[Source]:
    """Find every video below a folder, and every folder of pictures (as DAVIS has them), sorted by name.

    Videos in ``out``, where results are written, do not count. Raises ValueError for a folder with neither.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: got {'a file' if folder.exists() else 'nothing'}, expected a folder of videos")
    sources = []
    for path in sorted((folder, *folder.rglob("*"))):
        if path.name.startswith(".") or (out and path.resolve().is_relative_to(Path(out).resolve())):
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.suffix.lower() in VIDEOS:
            sources.append(_source(name, [path]))
        elif path.is_dir() and (pictures := _pictures(path)):
            sources.append(_source(name if name != "." else folder.name, pictures))
    if not sources:
        raise ValueError(
            f"{folder}: got a folder without videos, expected files such as .mp4, or folders of .jpg or .png frames"
        )
    return sources


def read_clip(paths: list[Path], protocol: Protocol) -> Clip:
    """Read a video (one path) or its frames (several), made square one by one, so that length is all memory asks.

    Raises ValueError where there is no video in it, or too short a one.
    """
    fps = float(read_facts(paths[0]).rate) if len(paths) == 1 else PICTURES_FPS
    pictures = (picture for path in paths for picture in read_pictures(path))
    frames = [protocol.fitted(as_bytes(picture)) for picture in islice(pictures, protocol.frames or None)]
    if len(frames) < LEAST_FRAMES:
        raise ValueError(f"got {len(frames)} frames, expected {LEAST_FRAMES} or more")
    return Clip(np.stack(frames), fps)


def write_result(path: Path, frames: np.ndarray, fps: float) -> None:
    """Write frames (n, h, w, 3), uint8, to a file from which `read_result` reads them bit for bit."""
    num_frames, height, width, _ = frames.shape
    pictures = (torch.from_numpy(frame) / 255 for frame in frames)
    write_lossless(path, pictures, VideoInfo.even((width, height), num_frames, fps))


def read_result(path: Path) -> np.ndarray:
    """Read back what `write_result` wrote: (n, h, w, 3), uint8."""
    return np.stack([as_bytes(picture) for picture in read_pictures(path)])


def comment_of(path: Path) -> str | None:
    """The comment a video was written with; None where there is no such video."""
    try:
        return read_facts(path).metadata.get("comment", "")
    except BrokenVideo:
        return None


def _source(name: str, paths: list[Path]) -> Source:
    stats = [path.stat() for path in paths]
    identity = f"{name} {len(paths)} {sum(s.st_size for s in stats)} {max(s.st_mtime_ns for s in stats)} {READING}"
    return Source(name, identity, lambda protocol: read_clip(paths, protocol))


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != ".")


def as_bytes(picture: Tensor) -> np.ndarray:
    """A picture in 0..1 as uint8."""
    return (picture * 255).round().to(torch.uint8).numpy()
