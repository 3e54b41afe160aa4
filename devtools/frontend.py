"""ComfyUI's newest frontend, kept in the cache folder beside the hosts: a host of a fixed version brings an older one.

It comes as a wheel of files that a server only hands out (``--front-end-root``), so nothing is installed.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from . import install, lock, pip
from .report import Problem, say

PACKAGE = "comfyui-frontend-package"
INSIDE = "comfyui_frontend_package/static/"
PAGE = "index.html"


def newest(python: Path) -> Path:
    """The folder of the newest frontend that the package index has; of the newest kept, where none can be asked.

    ``python`` is an interpreter with pip. Raises `Problem` where there is neither.
    """
    folder = install.cache_folder() / "frontends"
    folder.mkdir(parents=True, exist_ok=True)
    with lock.held(folder / "lock"):
        download = folder / "download"
        shutil.rmtree(download, ignore_errors=True)
        try:
            options = ["--no-deps", "--dest", download]
            pip.run(python, ["download", *options, PACKAGE], f"Looking for the newest {PACKAGE}", folder / "pip.log")
        except Problem as problem:
            there = kept(folder)
            if not there:
                raise
            say(f"{problem}\nThe newest frontend kept is used instead: {there[-1].name}.")
            return there[-1]
        (wheel,) = download.glob("*.whl")
        target = folder / wheel.name.split("-")[1]
        if not (target / PAGE).is_file():
            unpack(wheel, target)
        shutil.rmtree(download)
        return target


def kept(folder: Path) -> list[Path]:
    """The frontends in a folder, the newest last."""
    found = [path.parent for path in folder.glob(f"*/{PAGE}") if path.parent.name.replace(".", "").isdigit()]
    return sorted(found, key=lambda path: [int(part) for part in path.name.split(".")])


def unpack(wheel: Path, target: Path) -> None:
    """Unpack the frontend's files into ``target``, which is there only when it is whole."""
    unpacking = target.with_name("unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacking, [name for name in archive.namelist() if name.startswith(INSIDE)])
    page = unpacking / INSIDE / PAGE
    if not page.is_file():
        raise Problem(f"{wheel.name}: got no {INSIDE}{PAGE} in it, expected ComfyUI's frontend")
    page.parent.replace(target)
    shutil.rmtree(unpacking)
