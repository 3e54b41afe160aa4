"""A video's scenes for people: when each begins, and a strip of small pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from ..frames import scale_frames
from .cuts import scene_lengths
from .timeline import Timeline

KEYFRAMES = 5
"""Pictures of a scene, evenly spaced."""
LONGEST = 128
"""Pixels of their longer side. They are looked at when cuts are found, which takes one small picture of each frame."""
GAP, PAPER, INK = 2, 24, 230
"""Pixels between pictures; and the brightness of what lies between them, and of numbers, of 255."""

_GLYPHS = {
    "0": "### #.# #.# #.# ###",
    "1": ".#. ##. .#. .#. ###",
    "2": "### ..# ### #.. ###",
    "3": "### ..# .## ..# ###",
    "4": "#.# #.# ### ..# ..#",
    "5": "### #.. ### ..# ###",
    "6": "### #.. ### #.# ###",
    "7": "### ..# .#. .#. .#.",
    "8": "### #.# ### #.# ###",
    "9": "### #.# ### ..# ###",
}
GLYPH = 2
"""Pixels of the strip that a digit's pixel takes."""


@dataclass(frozen=True)
class ListedScene:
    """A scene of a video: its first frame, how many it has, when it begins, and how long it is shown, in seconds."""

    first: int
    frames: int
    start: float
    seconds: float

    def __str__(self) -> str:
        return f"frame {self.first}, at {_clock(self.start)}: {self.frames} frames, {self.seconds:.2f} s"


def list_scenes(timeline: Timeline, cuts: Sequence[int]) -> list[ListedScene]:
    """The scenes that begin with a video and at its cuts."""
    found = []
    for first, frames in zip((0, *cuts), scene_lengths(len(timeline), list(cuts)), strict=True):
        start = timeline.second(first)
        found.append(ListedScene(first, frames, start, timeline.second(first + frames) - start))
    return found


def draw_strip(thumbnails: Tensor, size: tuple[int, int], scenes: Sequence[ListedScene]) -> Tensor:
    """A row for each scene: the number of its first frame, and `KEYFRAMES` pictures: (H, W, 3), uint8.

    thumbnails: (n, 36, 64, 3), uint8, of all frames of a video of ``size`` (width, height).
    """
    width, height = tile_size(size)
    most = max(len(str(scene.first)) for scene in scenes)
    gutter = GLYPH * (4 * most + 1)
    row, line = height + GAP, KEYFRAMES * (width + GAP)
    strip = torch.full((row * len(scenes), gutter + line, 3), PAPER, dtype=torch.uint8)
    for place, scene in enumerate(scenes):
        pictures = scale_frames(thumbnails[keyframes(scene)].float() / 255, (width, height))
        pictures = (pictures * 255).round().to(torch.uint8)
        own = strip[place * row : place * row + height]
        for number, picture in enumerate(pictures):
            left = gutter + number * (width + GAP)
            own[:, left : left + width] = picture
        _write_number(own, scene.first)
    return strip


def tile_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture in the strip, of a video of ``size``."""
    width, height = (max(round(LONGEST * side / max(size)), 1) for side in size)
    return width, height


def keyframes(scene: ListedScene) -> list[int]:
    """The numbers of the frames that are shown of a scene: the middle one of each of its parts."""
    return [scene.first + (2 * part + 1) * scene.frames // (2 * KEYFRAMES) for part in range(KEYFRAMES)]


def png(picture: Tensor) -> bytes:
    """A picture (h, w, 3), uint8, as a PNG file."""
    import av

    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", 1
    encoder.thread_count = 1
    frame = av.VideoFrame.from_ndarray(picture.numpy(), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _write_number(picture: Tensor, number: int) -> None:
    for place, digit in enumerate(str(number)):
        rows = [[INK if dot == "#" else PAPER for dot in line] for line in _GLYPHS[digit].split()]
        glyph = torch.tensor(rows, dtype=torch.uint8)
        glyph = glyph.repeat_interleave(GLYPH, 0).repeat_interleave(GLYPH, 1)
        corner = picture[GLYPH : GLYPH * 6, GLYPH * (4 * place + 1) : GLYPH * (4 * place + 4)]
        corner[:] = rearrange(glyph, "h w -> h w 1")[: len(corner)]


def _clock(second: float) -> str:
    minutes, rest = divmod(second, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}"
