"""Training clips as pixels: which frames, under which mask, with which global frames; each a function of its number.

Number ``i`` of seed ``s`` is the same clip in every run, on every process and after every restart: nothing depends on
what was drawn before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..synthetic.camera import Motion
from ..synthetic.scenes import make_scene
from ..video.indexed import IndexedVideo
from ..video.reader import BrokenVideo
from . import masks
from .config import Config
from .videos import scan_folder

CLIPS, SCENES, STEPS, PICTURES, PICTURE_SCENES, LATENT_NOISE = range(1, 7)
"""Second part of a seed: what it draws. Seeds have three parts in training, and two in the held-out list."""

ATTEMPTS = 20


@dataclass(frozen=True)
class Clip:
    """One training clip before it is encoded.

    ``frames`` (f, h, w, 3) and ``global_frames`` (g, h, w, 3): whole pictures, uint8 as in any video. ``border``: the
    mask of every one of them. ``fps``: of the clip as strided, floored. ``skipped``: broken files met on the way to it,
    with what is wrong with them.
    """

    number: int
    frames: Tensor
    global_frames: Tensor
    border: masks.Border
    fps: int
    skipped: tuple[tuple[str, str], ...] = ()


class ClipSource:
    """Makes clip ``number`` of a configuration's data; also a map-style dataset of as many clips as one likes.

    Raises ``ValueError`` for a folder without any video that can be used.
    """

    def __init__(self, config: Config):
        self.config = config
        self.skipped: dict[str, str] = {}
        self.videos: tuple[IndexedVideo, ...] = ()
        if config.data.source == "folder":
            folder = scan_folder(config.path(config.data.folder), config.data.frames)
            self.videos, self.skipped = folder.videos, folder.skipped

    def __getitem__(self, number: int) -> Clip:
        rng = np.random.default_rng((self.config.run.seed, CLIPS, number))
        border = masks.draw_border(rng, self.config.objective.masks, self.config.objective.ratio)
        make = self._from_folder if self.videos else self._synthetic
        return make(rng, number, border)

    def _synthetic(self, rng: np.random.Generator, number: int, border: masks.Border) -> Clip:
        config, data = self.config.synthetic, self.config.data
        stride = masks.draw_stride(rng, data.max_stride * data.frames, data.frames, data.max_stride, data.strides)
        # A video is somewhat longer than its clip: what the clip does not see may be in it, or nowhere.
        span = stride * (data.frames - 1) + 1
        frames = int(min(max(data.video_frames, span), span * rng.uniform(1.0, 3.0)))
        motion = Motion(rng.uniform(*config.speed), config.travel, config.zoom, config.shake)
        scene = make_scene(
            (self.config.run.seed, SCENES, number),
            data.size,
            frames,
            motion,
            kind=str(rng.choice(config.kinds)),
            detail=rng.uniform(*config.detail),
            sprites=int(rng.integers(config.sprites + 1)),
        )
        times = rng.integers(frames - span + 1) + stride * np.arange(data.frames)
        everywhere = np.linspace(0, frames - 1, data.global_count, dtype=int)
        pictures = scene.render(np.concatenate([times, everywhere]))
        return self._clip(number, pictures, border, data.fps / stride, ())

    def _from_folder(self, rng: np.random.Generator, number: int, border: masks.Border) -> Clip:
        data, skipped = self.config.data, []
        for _ in range(ATTEMPTS):
            video = self.videos[rng.integers(len(self.videos))]
            length = min(video.num_frames, data.video_frames)
            stride = masks.draw_stride(rng, length, data.frames, data.max_stride, data.strides)
            first = int(rng.integers(video.num_frames - length + 1))
            start = first + int(rng.integers(length - stride * (data.frames - 1)))
            times = start + stride * np.arange(data.frames)
            everywhere = np.linspace(first, first + length - 1, data.global_count, dtype=int)
            place, mirrored = rng.uniform(size=2), rng.uniform() < 0.5
            try:
                pictures = video.read([*times, *everywhere])
            except BrokenVideo as error:
                skipped.append((video.path.name, str(error)))
                continue
            pictures = cut_out(pictures, data.size, place)
            pictures = pictures.flip(2) if mirrored else pictures
            return self._clip(number, pictures, border, float(video.rate) / stride, tuple(skipped))
        name, reason = skipped[-1]
        raise ValueError(
            f"got {ATTEMPTS} unreadable videos in a row, the last {name} ({reason}); expected a folder whose files play"
        )

    def _clip(
        self, number: int, pictures: Tensor, border: masks.Border, fps: float, skipped: tuple[tuple[str, str], ...]
    ) -> Clip:
        """Round pictures (f + g, h, w, 3), float, 0..1, to a clip and its global frames."""
        pictures = (pictures * 255).round().to(torch.uint8)
        frames = self.config.data.frames
        return Clip(number, pictures[:frames], pictures[frames:], border, int(fps), skipped)


def cut_out(pictures: Tensor, size: tuple[int, int], place: Sequence[float]) -> Tensor:
    """Cut the largest rectangle of the shape of ``size`` (width, height) out of pictures (n, h, w, 3) and resize it.

    ``place``: where it lies, 0..1 of the room there is across and down.
    """
    height, width = pictures.shape[1:3]
    scale = min(width / size[0], height / size[1])
    wide, high = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    x, y = int((width - wide) * place[0]), int((height - high) * place[1])
    planes = rearrange(pictures[:, y : y + high, x : x + wide], "n h w c -> n c h w")
    planes = F.interpolate(planes, (size[1], size[0]), mode="bilinear", antialias=True)
    return rearrange(planes, "n c h w -> n h w c").clamp(0, 1)
