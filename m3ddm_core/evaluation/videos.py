"""Clips from files: videos and folders of pictures, through PyAV; and results written to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from .protocol import LEAST_FRAMES, Clip, Protocol, Source

VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".gif"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
PICTURES_FPS = 24.0
"""The rate of a folder of pictures, which does not tell; DAVIS's is 24."""

GRID_QUALITY = "20"


def find_clips(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> list[Source]:
    """Find every video below a folder, and every folder of pictures (as DAVIS has them), sorted by name.

    What lies in ``out``, where results are written, is none. Raises ValueError for a folder with neither.
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
    import av

    frames: list[np.ndarray] = []
    fps = PICTURES_FPS
    try:
        for frame, rate in _decoded(paths):
            frames.append(protocol.fitted(frame))
            fps = rate or fps
            if len(frames) == protocol.frames:
                break
    # What is whole before the damage is not used: which frames it is depends on the decoder.
    except av.FFmpegError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    if len(frames) < LEAST_FRAMES:
        raise ValueError(f"it has {len(frames)} frames, expected {LEAST_FRAMES} or more")
    return Clip(np.stack(frames), fps)


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, *, lossless: bool, comment: str = "") -> None:
    """Write frames (h, w, 3), uint8, with even sides: H.264, or FFV1 that comes back bit for bit.

    The file appears when it is whole.
    """
    import av

    part = path.with_name(f"{path.stem}.part{path.suffix}")
    codec, pixels, options = ("ffv1", "bgr0", {}) if lossless else ("libx264", "yuv420p", {"crf": GRID_QUALITY})
    try:
        with av.open(part, "w") as file:
            file.metadata["comment"] = comment
            stream = None
            for picture in frames:
                if stream is None:
                    stream = file.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
                    stream.height, stream.width = picture.shape[:2]
                    stream.pix_fmt = pixels
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            if stream is not None:
                file.mux(stream.encode())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_frames(path: Path) -> np.ndarray:
    """Read back all frames of a file as they are, (n, h, w, 3), uint8."""
    return np.stack([frame for frame, _ in _decoded([path])])


def comment_of(path: Path) -> str | None:
    """The comment a video was written with; None where there is no such video."""
    import av

    if not path.is_file():
        return None
    try:
        with av.open(path) as file:
            # Matroska writes its keys in capitals.
            return {key.lower(): value for key, value in file.metadata.items()}.get("comment", "")
    except av.FFmpegError:
        return None


def _source(name: str, paths: list[Path]) -> Source:
    stats = [path.stat() for path in paths]
    identity = f"{name} {len(paths)} {sum(s.st_size for s in stats)} {max(s.st_mtime_ns for s in stats)}"
    return Source(name, identity, lambda protocol: read_clip(paths, protocol))


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != ".")


def _decoded(paths: list[Path]) -> Iterator[tuple[np.ndarray, float | None]]:
    """Frames (h, w, 3), uint8, with the rate of the video they come from, None for pictures."""
    import av

    for path in paths:
        with av.open(path) as file:
            if not file.streams.video:
                raise ValueError("it holds no video")
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate) if len(paths) == 1 and stream.average_rate else None
            for frame in file.decode(stream):
                yield frame.to_ndarray(format="rgb24"), rate
