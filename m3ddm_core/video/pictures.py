"""PyAV's frames to pictures in memory."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

EXACT_IN_BYTES = {"rgb24", "rgba", "pal8", "yuvj420p", "yuvj422p", "yuvj444p", "bgr0"}
"""Formats that ComfyUI reads as bytes; all others it reads as floats, which keeps what ten bits and chroma hold. The
last is that of `write_lossless`, whose bytes floats would miss by one."""

ALIGNMENT = 32
"""FFmpeg converts so many pixels of a row at a time, and what lies beyond the end of a row can leak into it."""


class PictureReader:
    """Reads the frames of one stream as ComfyUI's own video loader does, so that both give the same pictures."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._padding: tuple[Any, Any] | None = None

    def __call__(self, frame: Any) -> np.ndarray:
        """A frame as (height, width, 3), float32, 0..1, upright. Alpha is left out."""
        name, turns = frame.format.name, turned(frame)
        alpha = name == "pal8" or any(part.is_alpha for part in frame.format.components)
        if name in EXACT_IN_BYTES:
            pixels = self._convert(frame, "rgba" if alpha else "rgb24")[..., :3].astype(np.float32) / 255
        else:
            width, height = frame.width, frame.height
            if width % ALIGNMENT:
                frame = self._padded(frame)
            pixels = self._convert(frame, "gbrapf32le" if alpha else "gbrpf32le")[:height, :width, :3]
        return np.ascontiguousarray(np.rot90(pixels, turns))

    def _convert(self, frame: Any, name: str) -> np.ndarray:
        return self._reformatter.reformat(frame, format=name).to_ndarray()

    def _padded(self, frame: Any) -> Any:
        """The frame with its last column and row repeated, up to sides that are converted in whole."""
        import av

        if self._padding is None:
            width, height = (-(-side // ALIGNMENT) * ALIGNMENT for side in (frame.width, frame.height))
            graph = av.filter.Graph()
            entry = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
            )
            steps = [
                entry,
                graph.add("pad", f"w={width}:h={height}"),
                graph.add("fillborders", f"right={width - frame.width}:bottom={height - frame.height}:mode=smear"),
                graph.add("buffersink"),
            ]
            for before, after in pairwise(steps):
                before.link_to(after)
            graph.configure()
            # The graph must live as long as its ends.
            self._padding = graph, entry, steps[-1]
        _, entry, end = self._padding
        entry.push(frame)
        return end.pull()


def turned(frame: Any) -> int:
    """By how many quarter turns to the left a frame is shown."""
    return round(frame.rotation / 90) % 4
