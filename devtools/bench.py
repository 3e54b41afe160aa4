"""``python run.py bench``: how fast and how small the network is, beside the published code where it is at hand."""

from __future__ import annotations

import subprocess

from . import host as hosts
from .report import say

MODULES = ("diffusers", "einops", "matplotlib", "psutil", "safetensors")
REFERENCE_MODULES = ("transformers",)
SCRIPT = hosts.PACK / "devtools" / "inside" / "bench.py"


def bench(arguments: list[str]) -> int:
    """Run the measuring script under the host's Python with ``arguments``, and return its exit code.

    Raises `Problem` where the host lacks a module.
    """
    with_reference = any(argument.split("=")[0] == "--reference" for argument in arguments)
    host = hosts.find(MODULES + (REFERENCE_MODULES if with_reference else ()))
    say(f"Host: {host}")
    return subprocess.run([str(host.python), str(SCRIPT), *arguments], env=hosts.clean_environment()).returncode
