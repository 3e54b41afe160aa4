"""Footage decoded once: shots, photographs, panoramas and cut-outs as bytes on disk, read as if they were in memory.

A store holds one kind of material as it was found in one folder, under a name made of everything that decides what is
in it. What cannot be used is passed over and named, never fatal.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..video.suffixes import VIDEOS
from .panoramas import PANORAMAS, read_panorama
from .pictures import PICTURES, UnusableMaterial, read_cut_out, read_photograph
from .videos import read_shots

FORMAT = 1
PIXELS, PIECES = "pixels.u8", "pieces.json"
LICENCES = ("licen", "credit", "copying", "copyright", "readme")
"""How the name of a file begins that may tell what may be done with those beside it."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What material is wanted for: clips of ``frames`` frames of (width, height) ``size``.

    What is kept is larger than that where it can be: a view that moves, zooms and turns has to find room in it.
    """

    size: tuple[int, int]
    frames: int


@dataclass(frozen=True)
class Piece:
    """One shot, photograph, panorama or cut-out: ``shape`` (n, h, w, c) of uint8; ``fps`` of a shot."""

    name: str
    offset: int
    shape: tuple[int, int, int, int]
    fps: float = 0.0


@dataclass(frozen=True)
class Store:
    """The pieces of one kind that are on disk; ``skipped``: files that could not be used, with the reason."""

    folder: Path
    pieces: tuple[Piece, ...]
    skipped: dict[str, str]

    def pixels(self, piece: Piece) -> np.ndarray:
        """A piece (n, h, w, c), uint8, read-only; only what is then looked at is read from the disk."""
        return np.memmap(self.folder / PIXELS, np.uint8, "r", piece.offset, piece.shape)


def open_store(kind: str, source: Path, wanted: Wanted, root: Path, most: float, log: Log = lambda line: None) -> Store:
    """Open the store of one kind of material, one of ``KINDS``, and fill it first where it is not there yet.

    ``source``: a folder, looked through with all its folders; ``root``: where stores lie; ``most``: gigabytes, after
    which no further file is decoded. Raises ``ValueError`` where nothing can be used.
    """
    suffixes, read = KINDS[kind]
    paths = _files(kind, source)
    folder = root / store_name(kind, source, wanted, most)
    if not (folder / PIECES).is_file():
        log(f"decoding {len(paths)} files of {source} once, into {folder}")
        _fill(folder, lambda path: read(path, wanted), source, paths, most * 1e9)
    content = json.loads((folder / PIECES).read_text(encoding="utf-8"))
    pieces = tuple(Piece(**{**piece, "shape": tuple(piece["shape"])}) for piece in content["pieces"])
    skipped = content["skipped"]
    if not pieces:
        first = "".join(f"\n  {name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise ValueError(
            f"got {source} with {len(paths)} files for {kind}s of which none can be used, expected at least one of "
            f"{', '.join(suffixes)} for clips of {wanted.frames} frames of {wanted.size[0]}x{wanted.size[1]}{first}"
        )
    for place in _without_licence(source, paths):
        log(f"warning: no licence or credits beside the files of {place}; see that they may be used")
    return Store(folder, pieces, skipped)


def store_name(kind: str, source: Path, wanted: Wanted, most: float) -> str:
    """Name the folder of the store that `open_store` looks for, made of everything that decides what is in it."""
    files = [
        (path.relative_to(source).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in _files(kind, source)
    ]
    key = hashlib.sha256(json.dumps([FORMAT, files, asdict(wanted), most]).encode()).hexdigest()[:16]
    return f"{kind}-{key}"


def _files(kind: str, source: Path) -> list[Path]:
    suffixes, _ = KINDS[kind]
    return sorted(path for path in source.rglob("*") if path.suffix.lower() in suffixes and path.is_file())


Part = tuple[np.ndarray, float]
"""Pixels (n, h, w, c) and frames a second."""


def _fill(folder: Path, read: Callable[[Path], Iterable[Part]], source: Path, paths: list[Path], most: float) -> None:
    """Write a store under another name; it takes its own when it is whole."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    pieces: list[Piece] = []
    skipped: dict[str, str] = {}
    try:
        with (partial / PIXELS).open("wb") as file:
            for path in paths:
                name = path.relative_to(source).as_posix()
                start, before = file.tell(), len(pieces)
                if start >= most:
                    skipped[name] = f"{most / 1e9:g} GB are full"
                    continue
                try:
                    for pixels, fps in read(path):
                        pieces.append(Piece(name, file.tell(), pixels.shape, fps))
                        file.write(np.ascontiguousarray(pixels).data)
                except UnusableMaterial as error:
                    skipped[name] = str(error)
                    # Parts of a file that broke off are not kept.
                    del pieces[before:]
                    file.truncate(file.seek(start))
        content = {"pieces": [asdict(piece) for piece in pieces], "skipped": skipped}
        (partial / PIECES).write_text(json.dumps(content), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _without_licence(source: Path, paths: list[Path]) -> list[str]:
    """Name the folders, from ``source`` on, in which and above which no file tells a licence."""

    def tells(folder: Path) -> bool:
        files = (path.name.lower() for path in folder.iterdir() if path.is_file())
        return any(name.startswith(LICENCES) for name in files)

    folders = sorted({path.parent for path in paths})
    silent = [f for f in folders if not any(tells(up) for up in (f, *f.parents) if up.is_relative_to(source))]
    return [str(folder) for folder in silent]


def _shots(path: Path, wanted: Wanted) -> Iterator[Part]:
    yield from read_shots(path, wanted.size, wanted.frames)


def _photograph(path: Path, wanted: Wanted) -> Iterator[Part]:
    pixels = read_photograph(path, 3 * max(wanted.size))
    _expect(pixels, wanted.size)
    yield pixels[None], 0.0


def _panorama(path: Path, wanted: Wanted) -> Iterator[Part]:
    pixels = read_panorama(path, 3 * max(wanted.size))
    _expect(pixels, (4 * wanted.size[0] * 8 // 10, wanted.size[1]))
    yield pixels[None], 0.0


def _cut_out(path: Path, wanted: Wanted) -> Iterator[Part]:
    yield read_cut_out(path, max(wanted.size))[None], 0.0


def _expect(pixels: np.ndarray, size: tuple[int, int]) -> None:
    height, width = pixels.shape[:2]
    if width < size[0] or height < size[1]:
        raise UnusableMaterial(f"got {width}x{height} pixels, expected {size[0]}x{size[1]} or more")


KINDS: dict[str, tuple[tuple[str, ...], Callable[[Path, Wanted], Iterable[Part]]]] = {
    "film": (VIDEOS, _shots),
    "photo": (PICTURES, _photograph),
    "panorama": (PANORAMAS, _panorama),
    "cutout": (PICTURES, _cut_out),
}
"""Which files are looked for, and how one of them becomes pieces."""
