"""A folder of video files as clips: found, probed and read through PyAV."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".gif")


class BrokenVideo(ValueError):
    """A file that cannot be read as a video, or not as far as it said it could."""


@dataclass(frozen=True)
class Video:
    """A video file with ``frames`` frames, ``fps`` of them a second."""

    path: Path
    frames: int
    fps: float


@dataclass(frozen=True)
class Folder:
    """The videos found in a folder, and what was passed over: file names with the reason."""

    videos: tuple[Video, ...]
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
            video = probe(path)
        except BrokenVideo as error:
            skipped[str(path.relative_to(folder))] = str(error)
            continue
        if video.frames < least_frames:
            skipped[str(path.relative_to(folder))] = f"{video.frames} frames, fewer than {least_frames}"
        else:
            videos.append(video)
    if not videos:
        first = "".join(f"\n  {name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise ValueError(
            f"got {folder} with {len(paths)} video files of which none can be used, expected at least one of "
            f"{least_frames} frames or more ({', '.join(SUFFIXES)}){first}"
        )
    return Folder(tuple(videos), skipped)


def probe(path: Path) -> Video:
    """Count a video's frames by its packets, and decode the first one. Raises :class:`BrokenVideo`."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise BrokenVideo("no video in it")
            stream = container.streams.video[0]
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            next(container.decode(stream))
            container.seek(0, stream=stream)
            frames = sum(packet.pts is not None for packet in container.demux(stream))
    except (av.FFmpegError, StopIteration, OSError) as error:
        raise BrokenVideo(f"unreadable ({type(error).__name__})") from None
    if frames < 1 or fps <= 0:
        raise BrokenVideo("no frames in it")
    return Video(path, frames, fps)


def read_frames(video: Video, numbers: np.ndarray) -> Tensor:
    """Decode the frames of the given numbers, in their order: (n, h, w, 3) float32, 0..1.

    Raises :class:`BrokenVideo` where the file ends or breaks before the last of them.
    """
    import av

    wanted = set(numbers.tolist())
    first, last = min(wanted), max(wanted)
    found: dict[int, np.ndarray] = {}
    try:
        with av.open(str(video.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            begin = stream.start_time or 0
            if first > 0:
                # To the key frame before; what lies between is decoded and passed over.
                container.seek(begin + int(first / video.fps / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                number = round(float((frame.pts - begin) * stream.time_base) * video.fps)
                if number in wanted and number not in found:
                    found[number] = frame.to_ndarray(format="rgb24")
                if number >= last:
                    break
    except (av.FFmpegError, StopIteration, OSError) as error:
        raise BrokenVideo(f"breaks off while reading ({type(error).__name__})") from None
    if not found:
        raise BrokenVideo("none of the frames asked for can be read")
    # Time stamps may leave a number out (a dropped frame): the one before stands in, as in a player.
    have = sorted(found)
    if have[-1] < last - 1 - int(video.fps):
        raise BrokenVideo(f"ends at frame {have[-1]} of {video.frames}")
    nearest = [found[max((n for n in have if n <= number), default=have[0])] for number in numbers.tolist()]
    return torch.from_numpy(np.stack(nearest)).float() / 255
