"""Training clips as pixels: which frames, under which mask, with which global frames; each a function of its number.

Number ``i`` of seed ``s`` is the same clip in every run, on every process and after every restart: nothing depends on
what was drawn before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..material.store import Store, Wanted, open_store
from . import masks
from .config import Config
from .sources.footage import FilmSource, PanoramaSource, PhotoSource
from .sources.painted import PaintedSource
from .sources.views import View

CLIPS, SCENES, STEPS, PICTURES, PICTURE_SCENES, LATENT_NOISE, ROUNDS = range(1, 8)
"""Second part of a seed: what it draws. Seeds have three parts in training, and two in the held-out list."""

SHORTEST_SHOT = 16
"""Frames. Also what single pictures are drawn from, so that they and clips share a store."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One training clip before it is encoded.

    ``frames`` (f, h, w, 3) and ``global_frames`` (g, h, w, 3): whole pictures, uint8 as in any video. ``border``: the
    mask of every one of them. ``fps``: of the clip as strided, floored.
    """

    number: int
    frames: Tensor
    global_frames: Tensor
    border: masks.Border
    fps: int


@dataclass(frozen=True)
class Take:
    """A clip of ``frames`` frames of which it is settled what it shows, and whose pixels are still to be made."""

    number: int
    view: View
    frames: int
    border: masks.Border
    fps: int

    def shoot(self, device: torch.device | str = "cpu") -> Clip:
        """Make the pixels, on a device."""
        pictures = self.view.render(device)
        return Clip(self.number, pictures[: self.frames], pictures[self.frames :], self.border, self.fps)


class Source(Protocol):
    """Where clips come from."""

    def draw(self, rng: np.random.Generator, number: int) -> tuple[View, float]:
        """A view of a clip's frames and then its global ones, and the clip's frames a second."""


class ClipSource:
    """Settles clip ``number`` of a configuration's data; also a map-style dataset of as many as one likes.

    Each comes from one of the sources, drawn by their shares. ``skipped``: files that could not be used, with the
    reason. ``stamp``: what of the sources decides what is in a clip. Raises ``ValueError`` for a folder without
    anything that can be used.
    """

    def __init__(self, config: Config, log: Callable[[str], None] = lambda line: None):
        self.config = config
        shares = {name: share for name, share in vars(config.sources).items() if share > 0}
        stores = _open_stores(config, shares, log)
        self.skipped = {name: reason for store in stores.values() for name, reason in store.skipped.items()}
        self.stamp = [shares, *(store.folder.name for store in stores.values())]
        self.sources = [_source(name, config, stores) for name in shares]
        self.shares = np.array(list(shares.values())) / sum(shares.values())

    def __getitem__(self, number: int) -> Take:
        objective = self.config.objective
        rng = np.random.default_rng((self.config.run.seed, CLIPS, number))
        border = masks.draw_border(rng, objective.masks, objective.ratio)
        view, fps = self.sources[rng.choice(len(self.sources), p=self.shares)].draw(rng, number)
        return Take(number, view, self.config.data.frames, border, int(fps))


def _open_stores(config: Config, shares: dict[str, float], log: Callable[[str], None]) -> dict[str, Store]:
    material = config.material
    root = config.path(material.store or f"{config.run.output}/store")
    wanted = Wanted(config.data.size, max(config.data.frames, SHORTEST_SHOT))
    kinds = [name for name in shares if name != "synthetic"]
    if material.cutout and {"photo", "panorama"} & set(kinds):
        kinds.append("cutout")
    return {
        kind: open_store(kind, config.path(getattr(material, kind)), wanted, root, material.store_gb, log)
        for kind in kinds
    }


def _source(name: str, config: Config, stores: dict[str, Store]) -> Source:
    data, settings = config.data, config.synthetic
    if name == "synthetic":
        return PaintedSource((config.run.seed, SCENES), data, settings)
    if name == "film":
        return FilmSource(stores[name], data, settings)
    kind = {"photo": PhotoSource, "panorama": PanoramaSource}[name]
    return kind(stores[name], stores.get("cutout"), data, settings)


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
