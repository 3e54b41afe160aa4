"""PyAV's frames to pictures in memory, and back."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from .formats import Coding
from .shown import Orientation, square_size
from .source import VideoInfo

EXACT_IN_BYTES = {"rgb24", "rgba", "pal8", "yuvj420p", "yuvj422p", "yuvj444p", "bgr0"}
"""Formats that ComfyUI reads as bytes; all others it reads as floats, which keeps what ten bits and chroma hold. The
last is that of `write_lossless`, whose bytes floats would miss by one."""

KNOWN_MATRICES = {1, 4, 5, 6, 7, 9}
"""Those of colours that FFmpeg converts to, by its numbers."""
EXACT_IN_WORDS = {"gbrp10le": 1023}
"""What our own lossless files have, and what white is in it: floats of FFmpeg's making would miss it by one."""
LIMITED_RANGE = 1
"""Black is 16 and white 235, as players expect it of YUV."""

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
        elif name in EXACT_IN_WORDS:
            pixels = frame.to_ndarray().astype(np.float32) / EXACT_IN_WORDS[name]
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


class PictureMaker:
    """Makes the frames that an encoder is given, in the colours that ``info`` names: they say so themselves, too."""

    def __init__(self, coding: Coding, info: VideoInfo) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self.coding, self.info = coding, info
        self.kind = np.uint8 if coding.largest < 2**8 else np.uint16
        self.is_rgb = av.VideoFormat(coding.stored).is_rgb
        self._reformatter = VideoReformatter()

    def tag(self, context: Any) -> None:
        """Have a stream's codec context, or a frame, say its colours. RGB has no matrix, and its full range."""
        context.color_primaries, context.color_trc = self.info.primaries, self.info.transfer
        if not self.is_rgb:
            context.colorspace, context.color_range = self.info.matrix, LIMITED_RANGE

    def __call__(self, picture: Tensor) -> Any:
        """PyAV's frame of a picture (h, w, 3), float, 0..1; it has no time yet."""
        import av

        coding = self.coding
        pixels = (picture.float() * coding.largest).round_().clamp_(0, coding.largest).cpu().numpy().astype(self.kind)
        if coding.stored == coding.given:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=coding.given)
        else:
            frame = self._converted(pixels)
        # ProRes and PNG are told by their frames.
        self.tag(frame)
        return frame

    def _converted(self, pixels: np.ndarray) -> Any:
        """PyAV's frame of pixels (h, w, 3), as it is stored: of the same picture always the same bytes."""
        import av

        width, matrix = pixels.shape[1], self.info.matrix
        colours = {} if self.is_rgb else {"dst_color_range": LIMITED_RANGE}
        if not self.is_rgb and matrix in KNOWN_MATRICES:
            colours["dst_colorspace"] = matrix
        pixels = np.pad(pixels, ((0, 0), (0, -width % ALIGNMENT), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=self.coding.given)
        frame = self._reformatter.reformat(frame, format=self.coding.stored, **colours)
        return frame if frame.width == width else _narrowed(frame, width)


def row_bytes(format: Any) -> list[int] | None:
    """The bytes of a row of each plane, for formats of one plane, or of one for each component; None for others."""
    parts = sorted(format.components, key=lambda part: part.plane)
    if format.has_palette or format.is_bit_stream:
        return None
    if {part.plane for part in parts} == {0}:
        return [-(-format.width * format.padded_bits_per_pixel // 8)]
    if [part.plane for part in parts] != list(range(len(parts))):
        return None
    return [part.width * -(-part.bits // 8) for part in parts]


def rows_of(plane: Any, used: int) -> np.ndarray:
    """The first bytes of each row of a PyAV plane, (h, used), uint8; a view. What lies beyond may be anything."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, :used]


def _narrowed(frame: Any, width: int) -> Any:
    """The left of PyAV's frame, in a format of which `row_bytes` knows the rows."""
    import av

    narrow = av.VideoFrame(width, frame.height, frame.format.name)
    for old, new, used in zip(frame.planes, narrow.planes, row_bytes(narrow.format), strict=True):
        rows_of(new, used)[:] = rows_of(old, used)
    return narrow


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
