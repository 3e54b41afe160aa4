"""Decoded footage small enough to travel: stores packed as AVIF, and unpacked as the stores that training opens.

A packed store is a folder of ``00000.avif`` and so on, a shot or picture each, and ``pieces.json``. Pillow alone reads
it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from m3ddm_core.material.store import PIECES, PIXELS, Piece, Store, Wanted, store_name

HEIGHT = 256
"""Frames of films are packed no higher: what the last stage sees."""
QUALITY, SPEED = 75, 8
"""39 dB and 1.5 kB a frame of Big Buck Bunny."""


def read_store(folder: Path) -> Store:
    """Open a decoded store by itself, wherever its footage is."""
    content = json.loads((folder / PIECES).read_text(encoding="utf-8"))
    return Store(folder, tuple(Piece(**{**piece, "shape": tuple(piece["shape"])}) for piece in content["pieces"]), {})


def pack_store(store: Store, target: Path, longest: int) -> None:
    """Write a store's pieces into the folder ``target``, of each at most ``longest`` frames from its middle.

    Raises ``ValueError`` where AVIF kept another number of frames.
    """
    target.mkdir(parents=True)
    packed = []
    for number, piece in enumerate(store.pieces):
        pictures = [Image.fromarray(frame) for frame in _middle(store.pixels(piece), longest)]
        if piece.fps:
            pictures = [_small(picture) for picture in pictures]
        file = target / f"{number:05d}.avif"
        pictures[0].save(file, save_all=True, append_images=pictures[1:], quality=QUALITY, speed=SPEED)
        with Image.open(file) as written:
            if written.n_frames != len(pictures):
                raise ValueError(f"{piece.name}: got {written.n_frames} frames back, expected {len(pictures)}")
        shape = (len(pictures), pictures[0].height, pictures[0].width, 3)
        packed.append(replace(piece, offset=0, shape=shape))
    (target / PIECES).write_text(json.dumps([asdict(piece) for piece in packed]), encoding="utf-8")


def unpack_store(packed: Path, source: Path, root: Path, wanted: Wanted, most: float) -> Path:
    """Write the store that training looks for under ``root`` when it is told of the folder ``source``; returns it.

    ``source`` has no footage in it: the name of its store then depends on ``wanted`` and ``most`` (gigabytes) alone.
    ``packed`` is named after the kind of its material. Too short shots are left out, as where footage is decoded. After
    ``most`` no further piece is unpacked.
    """
    folder = root / store_name(packed.name, source, wanted, most)
    if (folder / PIECES).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [Piece(**{**piece, "shape": tuple(piece["shape"])}) for piece in json.loads((packed / PIECES).read_text())]
    placed = []
    with (folder / PIXELS).open("wb") as pixels:
        for number, piece in enumerate(pieces):
            if pixels.tell() >= most * 1e9:
                break
            if piece.fps and piece.shape[0] < wanted.frames:
                continue
            placed.append(replace(piece, offset=pixels.tell()))
            for frame in _frames(packed / f"{number:05d}.avif"):
                pixels.write(frame.data)
    content = {"pieces": [asdict(piece) for piece in placed], "skipped": {}}
    (folder / PIECES).write_text(json.dumps(content), encoding="utf-8")
    return folder


def _frames(file: Path) -> Iterator[np.ndarray]:
    with Image.open(file) as pictures:
        for picture in ImageSequence.Iterator(pictures):
            yield np.ascontiguousarray(picture.convert("RGB"))


def _middle(pixels: np.ndarray, longest: int) -> np.ndarray:
    first = max(0, len(pixels) - longest) // 2
    return pixels[first : first + longest]


def _small(picture: Image.Image) -> Image.Image:
    """A frame of a film, no higher than is packed. A camera moves over photographs and panoramas: those stay large."""
    if picture.height <= HEIGHT:
        return picture
    return picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT), Image.Resampling.BICUBIC)
