"""Pack what a GPU session needs beyond the repository into one folder, for a machine that can fetch nothing.

    python -m benchmarks.pack_gpu gpu_pack --stores runs/stores
    python -m benchmarks.pack_gpu gpu_pack --stores runs/stores --stage demo_clips_128
        --network recipes/start/network.safetensors --left-by demo_clips_128 --lpips-backbone alexnet.ckpt

Packs footage out of decoded stores, wheels of what a machine with torch lacks, the autoencoder, and the network that an
earlier session left for the ``--stage`` that this one begins with. Everything is replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from safetensors.torch import save_file

from m3ddm_core.evaluation.weights import read_backbone
from m3ddm_core.material.store import PIECES

from .gpu_material import pack_store, read_store

ROOT = Path(__file__).resolve().parents[1]
VAES = (ROOT / "recipes" / "start" / "vae.safetensors", ROOT / "models" / "m3ddm_demo_vae.safetensors")
KINDS = ("film", "photo", "panorama")
PLAN = "pack.json"
STAGES = ("demo_image", "demo_clips_128", "demo_clips_256")
"""Recipes of the network, in order."""
DECODER = "demo_vae_decoder"
"""The autoencoder's, which wants LPIPS's image network."""
ALEXNET = "alexnet.safetensors"
ALEXNET_LAYERS = (0, 3, 6, 8, 10)
"""Torchvision's numbers of its convolutions."""
LARGEST = 30e6
"""Bytes: with the repository it has to stay below what may be carried to a machine."""
PACKAGES = ("accelerate", "diffusers", "einops", "importlib_metadata", "lpips", "safetensors", "zipp")
"""Without their dependencies: a machine with torch mostly has the others, and a session names what it misses."""


def main() -> int:
    """Pack, and tell the sizes; 1 where it is too large."""
    options = _arguments()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    for kind, store in find_stores(options.stores).items():
        pack_store(read_store(store), options.folder / "material" / kind, options.frames)
    download_wheels(options.folder / "wheels", options.packages, options.python)
    pack_weights(options.folder, options.stage, options.network, options.left_by)
    if options.lpips_backbone:
        pack_alexnet(options.lpips_backbone, options.folder / ALEXNET)
    sizes = {part.name: size(part) for part in sorted(options.folder.iterdir())}
    for name, count in sizes.items():
        print(f"{name:24s} {count / 1e6:6.1f} MB")
    problem = too_large(sizes)
    print(problem or f"packed into {options.folder}", file=sys.stderr if problem else sys.stdout)
    return int(bool(problem))


def find_stores(folder: Path) -> dict[str, Path]:
    """The newest decoded store of each kind in a folder. Raises ``ValueError`` where there is none of a kind."""
    found = {}
    for kind in KINDS:
        stores = [path.parent for path in folder.glob(f"{kind}-*/{PIECES}")]
        if not stores:
            raise ValueError(
                f"{folder}: got no store of {kind}s, expected {kind}-*/{PIECES}; begin a training that decodes it"
            )
        found[kind] = max(stores, key=lambda path: path.stat().st_mtime)
    return found


def download_wheels(folder: Path, packages: list[str], python: str) -> None:
    """Let pip put wheels for Linux on x86-64 into a folder. Raises ``CalledProcessError`` where one cannot be had."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp"]
    for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        command += ["--platform", f"{tag}_x86_64"]
    subprocess.run([*command, "--dest", str(folder), *packages], check=True)


def pack_weights(folder: Path, stage: str, network: Path | None, left_by: str | None) -> None:
    """Write down the weights to begin with, which stage is the first and which one left its network.

    Weights of the repository travel with it and are named alone; others are copied.
    """
    vae = _packed(next(vae for vae in VAES if vae.is_file()), folder)
    plan = {"stage": stage, "vae": vae, "network": _packed(network, folder) if network else None, "left_by": left_by}
    (folder / PLAN).write_text(json.dumps(plan), encoding="utf-8")


def _packed(weights: Path, folder: Path) -> str:
    """The name of weights as seen from the pack."""
    if weights.resolve().is_relative_to(ROOT):
        return os.path.relpath(weights.resolve(), folder.resolve())
    shutil.copyfile(weights, folder / weights.name)
    return weights.name


def pack_alexnet(source: Path, target: Path) -> None:
    """Write the convolutions that LPIPS looks through, in half precision. Raises ``ValueError`` for another network."""
    found = read_backbone(source, ALEXNET_LAYERS, "AlexNet's weights")
    save_file({f"features.{name}": tensor.half().contiguous() for name, tensor in found.items()}, target)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def too_large(sizes: dict[str, int]) -> str:
    """What is wrong with the sizes of a pack's parts; empty where nothing is."""
    total = sum(sizes.values())
    if total <= LARGEST:
        return ""
    parts = ", ".join(f"{name} {count / 1e6:.1f}" for name, count in sizes.items())
    return f"got {total / 1e6:.1f} MB ({parts}), expected at most {LARGEST / 1e6:g}; lower --frames"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="gpu_pack, which git ignores")
    parser.add_argument("--stores", type=Path, required=True, help="folder of decoded stores, as trainings leave it")
    parser.add_argument("--frames", type=int, default=80, help="frames packed of a shot, from its middle (80)")
    parser.add_argument("--stage", choices=STAGES, default=STAGES[0], help=f"recipe to begin with ({STAGES[0]})")
    parser.add_argument("--network", type=Path, help="weights that the stage begins with")
    parser.add_argument("--left-by", choices=STAGES, help="the stage that left them")
    parser.add_argument("--lpips-backbone", type=Path, help="AlexNet's weights: then the decoder is trained too, last")
    parser.add_argument("--python", default="3.12", help="version of Python there (3.12)")
    parser.add_argument("--packages", nargs="*", default=list(PACKAGES), help=f"wheels ({', '.join(PACKAGES)})")
    options = parser.parse_args()
    if bool(options.network) != bool(options.left_by):
        parser.error("got one of --network and --left-by, expected both or neither")
    if options.stage != STAGES[0] and not options.network:
        parser.error(f"got --stage {options.stage} without --network, expected the weights that it begins with")
    if options.folder.exists() and not (options.folder / PLAN).is_file() and any(options.folder.iterdir()):
        parser.error(f"got {options.folder}, which holds other things than a pack; expected a folder of its own")
    return options


if __name__ == "__main__":
    sys.exit(main())
