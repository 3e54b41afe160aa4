"""``python run.py bench``: how fast and how small the network is, beside the published code where it is at hand."""

from __future__ import annotations

from . import children
from . import host as hosts
from .report import say

MODULES = ("einops", "matplotlib", "psutil", "safetensors")
REFERENCE_MODULES = ("diffusers", "transformers")


def bench(arguments: list[str]) -> int:
    """Run the measuring script under the host's Python with ``arguments``, and return its exit code.

    Raises `Problem` where the host lacks a module.
    """
    with_reference = any(argument.split("=")[0] == "--reference" for argument in arguments)
    host = hosts.find(MODULES + (REFERENCE_MODULES if with_reference else ()))
    say(f"Host: {host}")
    command = [str(host.python), "-m", "benchmarks.speed", *arguments]
    return children.run(command, env=hosts.clean_environment(PYTHONPATH=str(hosts.PACK))).returncode
