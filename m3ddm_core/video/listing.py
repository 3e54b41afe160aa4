"""A video's scenes for people: when each begins, and a strip of small pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil

import numpy as np
import torch
from torch import Tensor

from ..frames import scale_frames
from .cuts import scene_lengths
from .timeline import Timeline

KEYFRAMES = 5
"""Pictures of a scene, evenly spaced."""
LONGEST = 128
"""Pixels of their longer side. They are looked at when cuts are found, which takes one small picture of each frame."""
GAP, MARGIN, PAPER, INK = 2, 4, 24, 230
"""Pixels between pictures, and around numbers; and the brightness of what lies between them, and of numbers, of 255."""


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
    from PIL import Image, ImageDraw

    width, height = tile_size(size)
    row, line = height + GAP, KEYFRAMES * (width + GAP)
    names = [str(scene.first) for scene in scenes]
    gutter = MARGIN + max(ceil(ImageDraw.Draw(Image.new("L", (1, 1))).textlength(name)) for name in names) + MARGIN
    strip = Image.new("RGB", (gutter + line, row * len(scenes)), (PAPER,) * 3)
    for place, (scene, name) in enumerate(zip(scenes, names, strict=True)):
        label = Image.new("L", (gutter, height), PAPER)
        ImageDraw.Draw(label).text((MARGIN, 0), name, INK)
        strip.paste(label, (0, place * row))
        pictures = scale_frames(thumbnails[keyframes(scene)].float() / 255, (width, height))
        for number, picture in enumerate((pictures * 255).round().to(torch.uint8)):
            strip.paste(Image.fromarray(picture.numpy()), (gutter + number * (width + GAP), place * row))
    return torch.from_numpy(np.array(strip))


def tile_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture in the strip, of a video of ``size``."""
    width, height = (max(round(LONGEST * side / max(size)), 1) for side in size)
    return width, height


def keyframes(scene: ListedScene) -> list[int]:
    """The numbers of the frames that are shown of a scene: the middle one of each of its parts."""
    return [scene.first + (2 * part + 1) * scene.frames // (2 * KEYFRAMES) for part in range(KEYFRAMES)]


def png(picture: Tensor) -> bytes:
    """A picture (h, w, 3), uint8, as a PNG file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(picture.numpy()).save(file, "PNG")
    return file.getvalue()


def _clock(second: float) -> str:
    minutes, rest = divmod(second, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}"
