"""``python -m m3ddm_core train``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

NEEDED = {
    "accelerate": "accelerate",
    "av": "av",
    "diffusers": "diffusers",
    "PIL": "pillow",
    "tensorboard": "tensorboard",
}
"""Modules and the packages they come in."""

EPILOG = """
A configuration with every key and its default is recipes/example.toml. A run stopped at any moment, killed or out of
disk, goes on with --resume from its newest checkpoint, and ends as if it had never been stopped. On several GPUs:
`accelerate launch -m m3ddm_core train CONFIG.toml`. Curves and samples: `tensorboard --logdir OUTPUT/tensorboard`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments. Needs the standard library alone."""
    parser.epilog = EPILOG
    parser.add_argument("config", metavar="CONFIG.toml", help="what to train, from what, on what")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the configuration's output folder")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop with a checkpoint after so long (0: never)")


def run(arguments: argparse.Namespace) -> None:
    """Train, or go on training. Raises ValueError or OSError for what cannot be used."""
    require_extra()
    from .config import parse_config
    from .schema import read_toml
    from .tiny_vae import train_tiny_vae
    from .tiny_vae_config import SECTION, parse_tiny_vae_config
    from .trainer import train

    content = read_toml(arguments.config)
    place = {"folder": os.path.dirname(arguments.config) or ".", "name": arguments.config}
    how = {"resume": arguments.resume, "minutes": arguments.minutes, "log": _log}
    if SECTION in content:
        weights = train_tiny_vae(parse_tiny_vae_config(content, **place), **how)
    else:
        weights = train(parse_config(content, **place), **how)
    # Of several processes one speaks.
    if os.environ.get("RANK", "0") == "0":
        print(weights)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def require_extra() -> None:
    """Raise ``ValueError`` that names the packages of the train extra that are not installed."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ValueError(f"train needs packages that are not installed: run `pip install {' '.join(missing)}`")
