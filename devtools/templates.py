"""The workflow templates, and stand-ins for the files that they name."""

from __future__ import annotations

import shutil
from pathlib import Path

from .host import PACK
from .server import link_file

FOLDER = PACK / "example_workflows"
TEMPLATES = tuple(sorted(FOLDER.glob("*.json")))
# ComfyUI shows the files' names on the cards, and finds in them what begins among their first 33 letters or so.
SUFFIX = " - M3DDM Video Outpainting"

# What the templates' loaders ask for, and the files that their clip and guide frame choosers name.
CHECKPOINT, CHECKPOINT_PLUS = "m3ddm.safetensors", "m3ddm_plus.safetensors"
VAE = "vae-ft-mse-840000-ema-pruned.safetensors"
INPUTS = (PACK / "assets" / "big_buck_bunny.mp4", PACK / "assets" / "big_buck_bunny_frame_0.jpg")

# Settings with which a template runs in seconds, by node and input; enough to see that it runs, not what it makes.
QUICK = {
    "M3DDM_SamplingSettings": {"preset": "custom", "steps": 1},
    "M3DDM_EdgeMask": {"canvas_size": 64},
    "M3DDM_EncodeGlobalFrames": {"count": 2},  # each has 256x256 pixels, which took half of the time
    "M3DDM_SecondPass": {"canvas_size": 96},
    "M3DDM_OutpaintVideo": {"canvas_size": 64},
    "KSampler": {"steps": 1},
}


def title(template: Path) -> str:
    """What a template is called where it is known whose it is."""
    return template.stem.removesuffix(SUFFIX)


def titled(title: str) -> Path:
    """The template of a title."""
    return FOLDER / f"{title}{SUFFIX}.json"


def provide(base: Path, checkpoint: Path, vae: Path) -> None:
    """Put the clip, network and VAE that the templates name into a server's folders; ``checkpoint`` for both networks.

    Files that are there already stay as they are, so that several callers may share a server.
    """
    for source, target in (
        (checkpoint, base / "models" / "diffusion_models" / CHECKPOINT),
        (checkpoint, base / "models" / "diffusion_models" / CHECKPOINT_PLUS),
        (vae, base / "models" / "vae" / VAE),
    ):
        if not target.exists():
            link_file(source, target)
    for source in INPUTS:
        if not (base / "input" / source.name).exists():
            shutil.copyfile(source, base / "input" / source.name)
