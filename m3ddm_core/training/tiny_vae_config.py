"""What may stand in the TOML file that describes the training of a tiny autoencoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..canvas.placement import LATENT_SCALE
from .config import Material, Optimizer, Run, Sources, Synthetic, missing_material
from .schema import Sections, choice, number, parse_sections

SECTION = "pictures"
"""The section by which a configuration is known to be one of an autoencoder."""


@dataclass(frozen=True)
class Start:
    """What the autoencoder starts from, and what of it is trained.

    ``weights``: a file in TAESD's format; mean colours without one. ``turn``: whether its latents are first turned so
    that their colours lie along Stable Diffusion's axes (`colour_axes`). ``trained``: with ``decoder`` latents
    stay as they are, and so does every network that was trained on them.
    """

    weights: str = ""
    turn: bool = False
    trained: str = choice("both", "both", "decoder")


@dataclass(frozen=True)
class Pictures:
    """What the autoencoder is trained on: square windows of ``size`` pixels.

    They are cut out of painted scenes ``view`` pixels wide and high, and of footage, which is kept half as large again
    where it is so large. ``each``: pictures from one draw.
    """

    size: int = number(128, 32, 1024)
    view: int = number(256, 32, 2048)
    each: int = number(4, 1, 64)


@dataclass(frozen=True)
class Worth:
    """What counts how much beside an error in the pixels, which counts one.

    ``edges``: in the differences of neighbouring pixels. ``sharpness``: in their strength, window by window. ``lpips``:
    LPIPS on AlexNet, its weights from ``lpips_backbone`` (torchvision's download without it). ``spread``: that latents
    have not mean zero and variance one. ``colours``: that Stable Diffusion's matrix does not find the colours in them.
    ``noise``: how much of it latents are decoded with, for latents never are quite right.
    """

    edges: float = number(1.0, 0.0, 100.0)
    sharpness: float = number(0.0, 0.0, 100.0)
    lpips: float = number(0.0, 0.0, 100.0)
    lpips_backbone: str = ""
    spread: float = number(0.05, 0.0, 100.0)
    colours: float = number(0.0, 0.0, 100.0)
    noise: float = number(0.05, 0.0, 1.0)


@dataclass(frozen=True)
class TinyVaeConfig(Sections):
    """The training of an autoencoder; ``run.batch`` counts draws of ``pictures.each``."""

    run: Run
    start: Start = field(default_factory=Start)
    pictures: Pictures = field(default_factory=Pictures)
    worth: Worth = field(default_factory=Worth)
    optimizer: Optimizer = field(default_factory=Optimizer)
    sources: Sources = field(default_factory=Sources)
    material: Material = field(default_factory=Material)
    synthetic: Synthetic = field(default_factory=Synthetic)
    folder: str = "."


def parse_tiny_vae_config(content: dict[str, Any], *, folder: str = ".", name: str = "configuration") -> TinyVaeConfig:
    """Check a configuration and fill in what is left out. Raises `ConfigError`."""
    return parse_sections(TinyVaeConfig, content, _contradictions, folder=folder, name=name)


def _contradictions(config: TinyVaeConfig) -> list[str]:
    problems, pictures, start = [], config.pictures, config.start
    if pictures.size % LATENT_SCALE:
        problems.append(f"pictures.size: got {pictures.size}, expected a multiple of {LATENT_SCALE}")
    if pictures.size > pictures.view:
        problems.append(f"pictures.size: got {pictures.size}, expected at most view = {pictures.view}")
    problems += missing_material(config, config.sources, config.material)
    if start.weights and not config.path(start.weights).is_file():
        problems.append(f"start.weights: got {start.weights!r}, expected a file in TAESD's format")
    if not start.weights and (start.turn or start.trained != "both"):
        problems.append("start.turn, start.trained: got no start.weights with them, expected the file that they are of")
    if config.worth.lpips_backbone and not config.path(config.worth.lpips_backbone).is_file():
        problems.append(f"worth.lpips_backbone: got {config.worth.lpips_backbone!r}, expected a file of AlexNet")
    return problems
