"""Training an autoencoder of TAESD's architecture from nothing, written as ComfyUI's VAE loader reads it.

Pictures in, pictures out, four numbers for each block of 8x8 pixels between them. The latents are held near mean zero
and variance one in every channel, which is what the noise schedule of Stable Diffusion expects of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..canvas.placement import LATENT_SCALE
from ..checkpoint import DTYPES
from ..synthetic.camera import Motion
from ..synthetic.scenes import make_scene
from ..vae import save_tiny
from ..video.reader import BrokenVideo
from .config import Optimizer, Run, Synthetic
from .loop import TrainingLoop
from .samples import LATENT_NOISE, PICTURE_SCENES, PICTURES, cut_out
from .schema import Sections, number, parse_sections
from .tiny_start import begin_as_mean_colours
from .videos import scan_folder
from .wrappers import Averaged

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

SECTION = "pictures"
"""The section by which a configuration is known to be one of an autoencoder."""


@dataclass(frozen=True)
class Pictures:
    """What the autoencoder is trained on and for.

    ``view``: the synthetic scenes' width and height, of which windows of ``size`` are cut; ``each``: pictures from one
    scene or video. ``folder``: of videos, drawn from with chance ``videos``. ``edges``: what an error in the
    differences of neighbouring pixels counts beside one in the pixels; ``spread``: what it counts that latents have not
    mean zero and variance one; ``noise``: how much of it latents are decoded with, for latents never are quite right.
    """

    size: int = number(128, 32, 1024)
    view: int = number(256, 32, 2048)
    each: int = number(4, 1, 64)
    folder: str = ""
    videos: float = number(0.5, 0.0, 1.0)
    edges: float = number(1.0, 0.0, 100.0)
    spread: float = number(0.05, 0.0, 100.0)
    noise: float = number(0.05, 0.0, 1.0)


@dataclass(frozen=True)
class TinyVaeConfig(Sections):
    """The training of an autoencoder; ``run.batch`` counts scenes or videos."""

    run: Run
    pictures: Pictures = field(default_factory=Pictures)
    optimizer: Optimizer = field(default_factory=Optimizer)
    synthetic: Synthetic = field(default_factory=Synthetic)
    folder: str = "."


def parse_tiny_vae_config(content: dict[str, Any], *, folder: str = ".", name: str = "configuration") -> TinyVaeConfig:
    """Check a configuration and fill in what is left out. Raises `ConfigError`."""
    return parse_sections(TinyVaeConfig, content, _contradictions, folder=folder, name=name)


def _contradictions(config: TinyVaeConfig) -> list[str]:
    problems = []
    if config.pictures.size % LATENT_SCALE:
        problems.append(f"pictures.size: got {config.pictures.size}, expected a multiple of {LATENT_SCALE}")
    if config.pictures.size > config.pictures.view:
        problems.append(f"pictures.size: got {config.pictures.size}, expected at most view = {config.pictures.view}")
    if config.pictures.folder and not config.path(config.pictures.folder).is_dir():
        problems.append(f"pictures.folder: got {config.pictures.folder!r}, expected a folder of videos")
    return problems


def train_tiny_vae(
    config: TinyVaeConfig, *, resume: bool = False, minutes: float = 0.0, log: Callable[[str], None] = print
) -> Path:
    """As `train`, for an autoencoder; returns its file."""
    return _TinyVaeTraining(config, log).run(resume, minutes)


class PictureSource(torch.utils.data.Dataset):
    """Pictures (n, s, s, 3), uint8, by number: from a scene, or from a video where there are any."""

    def __init__(self, config: TinyVaeConfig):
        self.config = config
        folder = config.path(config.pictures.folder) if config.pictures.folder else None
        found = scan_folder(folder, config.pictures.each) if folder else None
        self.videos, self.skipped = (found.videos, found.skipped) if found else ((), {})

    def __getitem__(self, index: int) -> Tensor:
        settings = self.config.pictures
        rng = np.random.default_rng((self.config.run.seed, PICTURES, index))
        pictures = None
        if self.videos and rng.uniform() < settings.videos:
            pictures = self._from_video(rng)
        if pictures is None:
            pictures = self._from_scene(rng, index)
        height, width = pictures.shape[1:3]
        x, y = (int(rng.integers(side - settings.size + 1)) for side in (width, height))
        window = pictures[:, y : y + settings.size, x : x + settings.size]
        return (window * 255).round().to(torch.uint8)

    def _from_scene(self, rng: np.random.Generator, index: int) -> Tensor:
        settings, scenes = self.config.pictures, self.config.synthetic
        motion = Motion(rng.uniform(*scenes.speed), scenes.travel, scenes.zoom, scenes.shake)
        scene = make_scene(
            (self.config.run.seed, PICTURE_SCENES, index),
            (settings.view, settings.view),
            16 * settings.each,
            motion,
            kind=str(rng.choice(scenes.kinds)),
            detail=rng.uniform(*scenes.detail),
            sprites=int(rng.integers(scenes.sprites + 1)),
        )
        return scene.render(np.arange(settings.each) * 16)

    def _from_video(self, rng: np.random.Generator) -> Tensor | None:
        settings = self.config.pictures
        video = self.videos[rng.integers(len(self.videos))]
        first = int(rng.integers(video.num_frames - settings.each + 1))
        try:
            pictures = video.read(range(first, first + settings.each))
        except BrokenVideo:
            return None
        # Somewhere between the whole picture and its own pixels.
        side = int(rng.integers(settings.size, max(settings.size, min(pictures.shape[1:3])) + 1))
        return cut_out(pictures, (side, side), rng.uniform(size=2))


class Reconstruction(nn.Module):
    """The autoencoder's loss over pictures, as one forward."""

    def __init__(self, network: AutoencoderTiny, settings: Pictures):
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, pictures: Tensor, noise: Tensor) -> Tensor:
        """``pictures`` (n, 3, s, s) in -1..1, ``noise`` (n, 4, s / 8, s / 8); returns the loss ()."""
        latents = self.network.encoder(pictures)
        decoded = self.network.decoder(latents + self.settings.noise * noise)
        loss = sum(F.l1_loss(*(F.avg_pool2d(x, size) for x in (decoded, pictures))) for size in (1, 2, 4)) / 3
        for axis in (-1, -2):
            loss = loss + self.settings.edges * F.l1_loss(decoded.diff(dim=axis), pictures.diff(dim=axis))
        mean, variance = latents.mean(dim=(0, 2, 3)), latents.var(dim=(0, 2, 3))
        return loss + self.settings.spread * (mean.square() + (variance.sqrt() - 1).square()).mean()


class _TinyVaeTraining(TrainingLoop):
    weights_name = "vae.safetensors"
    config: TinyVaeConfig

    def __init__(self, config: TinyVaeConfig, log: Callable[[str], None]):
        from diffusers import AutoencoderTiny

        super().__init__(config, log)
        torch.manual_seed(config.run.seed)
        self.network = AutoencoderTiny()
        begin_as_mean_colours(self.network)
        self.source = PictureSource(config)
        self.skipped = dict(self.source.skipped)
        self.prepare(Reconstruction(self.network, config.pictures), self.source)

    def loss(self, numbers: list[int], samples: list[Tensor]) -> Tensor:
        pictures = rearrange(torch.stack(samples).to(self.device), "b n h w c -> (b n) c h w").float() / 127.5 - 1
        shape = (len(pictures), 4, pictures.shape[2] // LATENT_SCALE, pictures.shape[3] // LATENT_SCALE)
        seed = np.random.default_rng((self.config.run.seed, LATENT_NOISE, numbers[0])).integers(2**63 - 1)
        noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(int(seed)))
        return self.model(pictures, noise.to(self.device))

    def export(self, path: Path, step: int) -> None:
        with Averaged(self.ema, self.network):
            save_tiny(path, self.network, DTYPES[self.config.run.export_dtype])

    @torch.no_grad()
    def show(self, step: int) -> None:
        pictures = torch.cat([self.source[2**40 + i] for i in range(4)]).float() / 255
        planes = rearrange(pictures, "n h w c -> n c h w").to(self.device) * 2 - 1
        with Averaged(self.ema, self.network):
            latents = self.network.encoder(planes)
            decoded = self.network.decoder(latents)
        error = (decoded - planes).div(2).square().mean()
        self.curves.scalars({"preview psnr": -10 * error.log10().item(), "latent std": latents.std().item()}, step)
        both = torch.stack([planes, decoded]).clamp(-1, 1) / 2 + 0.5
        self.curves.writer.add_image("in, out", rearrange(both, "two n c h w -> c (two h) (n w)"), step)
