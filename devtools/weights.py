"""The checkpoint and the VAE that the demo runs with: given, found in ComfyUI's folders, or the pack's small ones."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .host import PACK, Host
from .report import Problem, say

HOW_TO_GET = """\
  1. The checkpoint, by its authors: diffusion_pytorch_model.bin of `alimama-creative/M3DDM-Video-Outpainting` on
     Hugging Face, or that of M3DDM+, `MurakawaTakuya/M3DDM-Plus`; as it is, into ComfyUI/models/diffusion_models.
  2. The VAE of Stable Diffusion 1.5: vae-ft-mse-840000-ema-pruned.safetensors (`stabilityai/sd-vae-ft-mse-original`
     on Hugging Face), into ComfyUI/models/vae.
  Then: python run.py demo --checkpoint diffusion_pytorch_model.bin --vae vae-ft-mse-840000-ema-pruned.safetensors"""

_SUFFIXES = (".safetensors", ".bin", ".ckpt", ".pt", ".pth")
_VAE_NAMES = ("vae-ft-mse-840000", "vae-ft-ema-560000", "sd-vae-ft-mse", "sd15_vae", "sd1.5_vae", "vae-sd15")


@dataclass(frozen=True)
class Weights:
    """A pair of files; ``small`` tells that they are the demonstration's, which the loaders find by themselves."""

    checkpoint: Path
    vae: Path
    small: bool


DEMO = Weights(PACK / "models" / "m3ddm_demo.safetensors", PACK / "models" / "m3ddm_demo_vae.safetensors", small=True)


def choose(host: Host, checkpoint: Path | None, vae: Path | None) -> Weights:
    """The files to run with: the demonstration's where there is no real checkpoint.

    Raises `Problem` where a file that was named is not there, or a real checkpoint has no VAE to go with it.
    """
    for name, file in (("--checkpoint", checkpoint), ("--vae", vae)):
        if file is not None and not file.is_file():
            raise Problem(f"{name}: got {file}, where no file lies; expected a file")
    named = checkpoint is not None
    checkpoint = checkpoint or _search(host, ("diffusion_models", "unet"), ("m3ddm",))
    if checkpoint is not None:
        vae = vae or _search(host, ("vae",), _VAE_NAMES)
        if vae is not None:
            return Weights(checkpoint.absolute(), vae.absolute(), small=False)
        missing = (
            f"got the checkpoint {checkpoint} without a VAE, expected one of Stable Diffusion 1.5, and ComfyUI has none"
        )
        if named:
            raise Problem(f"{missing}; name it with --vae\n{HOW_TO_GET}")
        say(f"{missing}: it is left aside; name a VAE with --vae to use it")
    elif vae is not None:
        raise Problem(
            f"--vae: got {vae} without a checkpoint, expected --checkpoint too, since ComfyUI has none\n{HOW_TO_GET}"
        )
    return DEMO


def advice(checkpoint: Path) -> tuple[dict[str, Any], int | None]:
    """What a checkpoint says it is best sampled with, by the names of M3DDM Sampling Settings, and on what canvas.

    Nothing, and None, where it says nothing: `m3ddm_core.sampling.advice` has the whole story and checks it.
    """
    if checkpoint.suffix.lower() != ".safetensors":
        return {}, None
    with checkpoint.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        metadata = json.loads(file.read(length)).get("__metadata__", {})
    canvas = metadata.get("canvas_size")
    return json.loads(metadata.get("sampling", "{}")), canvas and int(canvas)


def _search(host: Host, folders: tuple[str, ...], names: tuple[str, ...]) -> Path | None:
    """The first model file in ComfyUI's folders whose name holds one of ``names``."""
    for folder in folders:
        for file in sorted((host.path / "models" / folder).rglob("*")):
            if file.suffix.lower() in _SUFFIXES and any(name in file.name.lower() for name in names):
                return file
    return None
