"""Pictures for an autoencoder, each draw a function of its number: windows of footage and of painted scenes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..material.store import Store, Wanted, open_store
from ..synthetic.camera import Motion
from ..synthetic.scenes import make_scene
from .samples import PICTURE_SCENES, PICTURES, cut_out
from .tiny_vae_config import TinyVaeConfig

PAINTED = "synthetic"


class PictureSource(torch.utils.data.Dataset):
    """Pictures (n, s, s, 3), uint8, by number: of one painted scene, or each of a piece of one kind of footage."""

    def __init__(self, config: TinyVaeConfig, log: Callable[[str], None] = lambda line: None):
        self.config = config
        shares = {kind: share for kind, share in vars(config.sources).items() if share > 0}
        self.shares = {kind: share / sum(shares.values()) for kind, share in shares.items()}
        self.stores = {kind: _open(config, kind, log) for kind in shares if kind != PAINTED}
        # A film's frames are drawn alike, whichever shot they are of.
        lengths = {kind: np.array([piece.shape[0] for piece in store.pieces]) for kind, store in self.stores.items()}
        self.chances = {kind: length / length.sum() for kind, length in lengths.items()}

    @property
    def skipped(self) -> dict[str, str]:
        """Files that could not be used, with what is wrong with them."""
        return {name: reason for store in self.stores.values() for name, reason in store.skipped.items()}

    def __getitem__(self, index: int) -> Tensor:
        rng = np.random.default_rng((self.config.run.seed, PICTURES, index))
        kind = str(rng.choice(list(self.shares), p=list(self.shares.values())))
        if kind == PAINTED:
            pictures = self._from_scene(rng, index)
        else:
            pictures = torch.stack([self._window(rng, kind) for _ in range(self.config.pictures.each)])
        return (pictures * 255).round().to(torch.uint8)

    def _from_scene(self, rng: np.random.Generator, index: int) -> Tensor:
        settings, scenes = self.config.pictures, self.config.synthetic
        motion = Motion(rng.uniform(*scenes.speed), scenes.travel, scenes.zoom, scenes.shake)
        scene = make_scene(
            (self.config.run.seed, PICTURE_SCENES, index),
            (settings.view, settings.view),
            16 * settings.each,
            motion,
            kind=str(rng.choice(scenes.kinds)),
            detail=rng.uniform(*scenes.detail),
            sprites=int(rng.integers(scenes.sprites + 1)),
        )
        pictures = scene.render(np.arange(settings.each) * 16)
        x, y = (int(rng.integers(settings.view - settings.size + 1)) for _ in range(2))
        return pictures[:, y : y + settings.size, x : x + settings.size]

    def _window(self, rng: np.random.Generator, kind: str) -> Tensor:
        """One window (s, s, 3), 0..1: somewhere between a picture's own pixels and all of its height."""
        store, size = self.stores[kind], self.config.pictures.size
        frames = store.pixels(store.pieces[rng.choice(len(store.pieces), p=self.chances[kind])])
        picture = frames[rng.integers(len(frames))]
        if kind == "panorama":
            # Its ground and sky are smeared.
            picture = picture[len(picture) // 4 : -(len(picture) // 4)]
        height, width = picture.shape[:2]
        side = int(rng.integers(min(size, height, width), min(height, width) + 1))
        x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        window = torch.from_numpy(picture[y : y + side, x : x + side].copy()).float() / 255
        window = window.flip(1) if rng.uniform() < 0.5 else window
        return cut_out(window[None], (size, size), (0.0, 0.0))[0]


def _open(config: TinyVaeConfig, kind: str, log: Callable[[str], None]) -> Store:
    material, view = config.material, config.pictures.view
    root = config.path(material.store or f"{config.run.output}/stores")
    return open_store(kind, config.path(getattr(material, kind)), Wanted((view, view), 1), root, material.store_gb, log)
