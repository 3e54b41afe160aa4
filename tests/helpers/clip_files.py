"""Small video files, written as a camera or a program would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from m3ddm_core.video.source import VideoInfo
from m3ddm_core.video.writer import write_video

RATE = 10


def write_clip(path: Path, frames: np.ndarray, fps: float, comment: str = "") -> Path:
    """Write frames (n, h, w, 3), uint8, with the pack's own writer."""
    num_frames, height, width, _ = frames.shape
    info = VideoInfo.even((width, height), num_frames, fps)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, torch.from_numpy(frames) / 255, info, metadata={"comment": comment} if comment else None)
    return path


def encoded_file(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    codec: str = "h264",
    options: dict[str, str] | None = None,
    stamps: Sequence[int] | None = None,
    rotation: int = 0,
) -> Path:
    """Write frames (h, w, 3), uint8, with any encoder, at ``stamps`` tenths of a second, to be shown ``rotation``
    degrees to the left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = None
        for number, pixels in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=RATE, options=options or {})
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
                if rotation:
                    stream.set_display_rotation(rotation)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base = stamps[number] if stamps else number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def rotated_file(path: Path, rotation: int, num_frames: int = 20) -> Path:
    """Write a clip 64 wide and 48 high that is bright above and dark below once it is shown as its file says."""
    upright = np.zeros((64, 48, 3) if rotation % 180 else (48, 64, 3), np.uint8)
    upright[: len(upright) // 2] = 230
    # Stored the other way round than it is to be turned.
    stored = np.rot90(upright, -rotation // 90)
    return encoded_file(path, [stored] * num_frames, rotation=rotation)


def damaged_copy(path: Path, copy: Path, number: int) -> Path:
    """Copy a video file but for what is in packet ``number``."""
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for count, packet in enumerate(source.demux(video=0)):
            if not packet.size:
                break
            if count == number:
                damaged = av.Packet(bytes(packet.size))
                damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
                packet = damaged
            packet.stream = stream
            target.mux(packet)
    return copy
