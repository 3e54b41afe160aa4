"""PyAV's frames to pictures in memory."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from einops import rearrange

from .shown import Orientation, square_size

EXACT_IN_BYTES = {"rgb24", "rgba", "pal8", "yuvj420p", "yuvj422p", "yuvj444p", "bgr0"}
"""Formats that ComfyUI reads as bytes; all others it reads as floats, which keeps what ten bits and chroma hold. The
last is that of `write_lossless`, whose bytes floats would miss by one."""

ALIGNMENT = 32
"""FFmpeg converts so many pixels of a row at a time, and what lies beyond the end of a row can leak into it."""


class PictureReader:
    """Reads the frames of one stream as ComfyUI's own video loader does, so that both give the same pictures.

    But for two things, which that loader leaves out: pixels that are ``aspect`` times as wide as high are made square,
    and pictures that are to be shown mirrored are mirrored.
    """

    def __init__(self, aspect: Fraction) -> None:
        from av.video.reformatter import VideoReformatter

        self.aspect = aspect
        self._reformatter = VideoReformatter()
        self._padded_kind: tuple[int, int, str] | None = None

    def __call__(self, frame: Any) -> np.ndarray:
        """A frame as (height, width, 3), float32, 0..1, as it is to be shown. Alpha is left out."""
        name, width, height = frame.format.name, frame.width, frame.height
        alpha = name == "pal8" or any(part.is_alpha for part in frame.format.components)
        if name in EXACT_IN_BYTES:
            pixels = self._convert(frame, "rgba" if alpha else "rgb24")[..., :3].astype(np.float32) / 255
        else:
            padded = self._padded(frame) if width % ALIGNMENT else frame
            pixels = self._convert(padded, "gbrapf32le" if alpha else "gbrpf32le")[:height, :width, :3]
        if self.aspect != 1:
            pixels = _resized(pixels, *square_size(width, height, self.aspect))
        return np.ascontiguousarray(Orientation.of(frame).turn(pixels))

    def _convert(self, frame: Any, name: str) -> np.ndarray:
        return self._reformatter.reformat(frame, format=name).to_ndarray()

    def _padded(self, frame: Any) -> Any:
        """The frame with its last column and row repeated, up to sides that are converted in whole."""
        kind = frame.width, frame.height, frame.format.name
        if kind != self._padded_kind:
            self._padded_kind, self._padding = kind, _padding(frame)
        _, entry, end = self._padding
        entry.push(frame)
        return end.pull()


def _padding(frame: Any) -> tuple[Any, Any, Any]:
    """A filter that pads frames like this one: the graph, which must live as long as its ends, and the two ends."""
    import av

    sides = frame.width, frame.height
    wanted = tuple(-(-side // ALIGNMENT) * ALIGNMENT for side in sides)
    graph = av.filter.Graph()
    steps = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base)
    ]
    # A border is filled that is no wider than what it is filled from.
    while sides != wanted:
        before, sides = sides, tuple(min(2 * side, most) for side, most in zip(sides, wanted, strict=True))
        right, bottom = (after - side for side, after in zip(before, sides, strict=True))
        steps.append(graph.add("pad", f"w={sides[0]}:h={sides[1]}"))
        steps.append(graph.add("fillborders", f"right={right}:bottom={bottom}:mode=smear"))
    steps.append(graph.add("buffersink"))
    for before, after in pairwise(steps):
        before.link_to(after)
    graph.configure()
    return graph, steps[0], steps[-1]


def _resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture (h, w, c), float32, 0..1, in another size."""
    planes = rearrange(torch.from_numpy(np.ascontiguousarray(picture)), "h w c -> 1 c h w")
    resized = torch.nn.functional.interpolate(planes, (height, width), mode="bicubic", antialias=True)
    return rearrange(resized.clamp_(0, 1), "1 c h w -> h w c").numpy()
