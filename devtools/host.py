"""Find a ComfyUI to run in, or make one in a cache folder.

The user's own comes first: ``COMFYUI_PATH``, or the ComfyUI whose ``custom_nodes`` folder the pack lies in. Otherwise
`install` keeps one of a fixed version in the platform's cache folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .report import Problem

PACK = Path(__file__).absolute().parents[1]
PACK_NAME = "m3ddm-video-outpainting"  # pyproject.toml's: the folder that the registry installs the pack under

DEMO_MODULES = ("einops", "safetensors", "av", "PIL")
TEST_MODULES = (
    *DEMO_MODULES,
    "pytest",
    "hypothesis",
    "cv2",
    "diffusers",
    "lpips",
    "matplotlib",
    "skimage",
    "torchmetrics",
    "accelerate",
    "tensorboard",
)

_PROBE = """
import importlib.util, json, sys
import torch
mps = getattr(torch.backends, "mps", None)
print(json.dumps({
    "torch": torch.__version__,
    "device": "cuda" if torch.cuda.is_available() else "mps" if mps and mps.is_available() else "cpu",
    "missing": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None],
}))
"""


@dataclass(frozen=True)
class Host:
    """A ComfyUI and the interpreter it runs under.

    ``path`` holds ``main.py``; ``device`` is "cuda", "mps" or "cpu"; ``comfy_cli`` is the `comfy` command of an
    environment of its own, or None; ``own`` tells that the cache holds it, so that it may be added to. ``frontend`` is
    the folder of a frontend to hand out in place of the one installed in it, or None.
    """

    path: Path
    python: Path
    version: str
    torch: str
    device: str
    comfy_cli: Path | None
    own: bool
    frontend: Path | None = None

    def __str__(self) -> str:
        return f"ComfyUI {self.version} in {self.path} (torch {self.torch}, {self.device})"


def find(modules: tuple[str, ...] = DEMO_MODULES, *, install: bool = True) -> Host:
    """The host to use, made first where there is none and ``install`` is set.

    ``modules`` must be importable in it. Raises `Problem` with the remedy where the user's own ComfyUI lacks something.
    """
    given = os.environ.get("COMFYUI_PATH")
    if given:
        path = Path(given).expanduser().absolute()
        if not (path / "main.py").is_file() or not (path / "comfyui_version.py").is_file():
            raise Problem(
                f"COMFYUI_PATH: got {path}, expected ComfyUI's own folder, with main.py and comfyui_version.py in it; "
                "correct it, or unset it to have a ComfyUI made in the cache"
            )
        return _users_host(path, modules)
    above = PACK.parent.parent
    if (
        PACK.parent.name == "custom_nodes"
        and (above / "main.py").is_file()
        and (above / "comfyui_version.py").is_file()
    ):
        return _users_host(above, modules)
    from . import install as installer

    layout = installer.ensure() if install else installer.ready()
    return _host(layout.comfyui, layout.python, modules, comfy_cli=layout.comfy_cli, own=True)


def _users_host(path: Path, modules: tuple[str, ...]) -> Host:
    tried = []
    for python in _interpreters(path):
        tried.append(str(python))
        if _runs_torch(python):
            return _host(path, python, modules, comfy_cli=_beside(Path(python), "comfy"), own=False)
    raise Problem(
        f"got a ComfyUI in {path} and interpreters without torch ({', '.join(tried)}), expected one with it; start "
        "run.py with the Python that runs ComfyUI, or unset COMFYUI_PATH to have a ComfyUI made in the cache"
    )


def _interpreters(path: Path) -> list[Path]:
    """The running interpreter, then virtual environments in ComfyUI's folder and beside it."""
    found = [Path(sys.executable)]
    for folder in (path / "venv", path / ".venv", path.parent / "venv", path.parent / ".venv"):
        found.append(folder / "bin" / "python")
        found.append(folder / "Scripts" / "python.exe")
    found.append(path.parent / "python_embeded" / "python.exe")  # the portable build for Windows spells it so
    return [python for python in found if python.is_file()]


def _runs_torch(python: Path) -> bool:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([str(python), "-c", code], env=clean_environment(), capture_output=True).returncode == 0


def _host(path: Path, python: Path, modules: tuple[str, ...], *, comfy_cli: Path | None, own: bool) -> Host:
    answer = subprocess.run(
        [str(python), "-c", _PROBE, *modules], env=clean_environment(), capture_output=True, text=True
    )
    if answer.returncode != 0:
        raise Problem(f"{python} cannot import torch:\n{answer.stderr.strip()[-2000:]}")
    facts = json.loads(answer.stdout.strip().splitlines()[-1])
    if facts["missing"]:
        files = f'-r "{PACK / "requirements.txt"}" -r "{PACK / "devtools" / "requirements.txt"}"'
        command = f'"{python}" -m pip install {files}'
        raise Problem(
            f"got a ComfyUI whose Python ({python}) lacks {', '.join(facts['missing'])}; install them with\n"
            f"  {command}\nor unset COMFYUI_PATH to use a ComfyUI of run.py's own"
        )
    found = re.search(r"__version__ *= *[\"']([^\"']+)", (path / "comfyui_version.py").read_text(encoding="utf-8"))
    return Host(path, python, found.group(1) if found else "?", facts["torch"], facts["device"], comfy_cli, own)


def _beside(python: Path, command: str) -> Path | None:
    """A command installed in the same environment as ``python``, or None."""
    for name in (command, f"{command}.exe"):
        if (python.parent / name).is_file():
            return python.parent / name
    return None


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what could lead another interpreter astray, plus ``extra``."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    # Threads that spin while they wait take the cores from one another wherever more than one process computes.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.update(PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8", **extra)
    return environment
