"""Training an autoencoder of TAESD's architecture, written as ComfyUI's VAE loader reads it.

Pictures in, pictures out, four numbers for each block of 8x8 pixels between them. The latents are held near mean zero
and variance one in every channel, which is what the noise schedule of Stable Diffusion expects of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ..canvas.placement import LATENT_SCALE
from ..checkpoint import DTYPES
from ..vae import load_vae, save_tiny
from .colour_axes import fit_turn, fold_turn
from .loop import TrainingLoop
from .picture_source import PictureSource
from .reconstruction import Perceptual, Reconstruction
from .samples import LATENT_NOISE
from .tiny_start import begin_as_mean_colours
from .tiny_vae_config import TinyVaeConfig
from .wrappers import Averaged

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

FIT_FROM, FIT_DRAWS = 2**41, 32
"""Numbers of the pictures that colour axes are fitted to: no training reaches them."""

SHOWN_FROM, SHOWN = 2**40, 4


def train_tiny_vae(
    config: TinyVaeConfig, *, resume: bool = False, minutes: float = 0.0, log: Callable[[str], None] = print
) -> Path:
    """As `train`, for an autoencoder; returns its file."""
    return _TinyVaeTraining(config, log).run(resume, minutes)


class _TinyVaeTraining(TrainingLoop):
    weights_name = "vae.safetensors"
    config: TinyVaeConfig

    def __init__(self, config: TinyVaeConfig, log: Callable[[str], None]):
        super().__init__(config, log)
        # Footage is decoded by one process; the others find it done.
        with self.accelerator.main_process_first():
            self.source = PictureSource(config, self.log)
        self.skipped = self.source.skipped
        self.network = initial_autoencoder(config, self.source)
        self.prepare(Reconstruction(self.network, config.worth, _perceptual(config, self.device)), self.source)

    def loss(self, batch: tuple[list[int], list[Tensor]]) -> Tensor:
        numbers, samples = batch
        pictures = _planes(torch.cat(samples)).to(self.device)
        shape = (len(pictures), 4, *(side // LATENT_SCALE for side in pictures.shape[2:]))
        seed = np.random.default_rng((self.config.run.seed, LATENT_NOISE, numbers[0])).integers(2**63 - 1)
        noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(int(seed)))
        return self.model(pictures, noise.to(self.device))

    def export(self, path: Path, step: int) -> None:
        with Averaged(self.ema, self.network):
            save_tiny(path, self.network, DTYPES[self.config.run.export_dtype])

    @torch.no_grad()
    def show(self, step: int) -> None:
        planes = _planes(torch.cat([self.source[SHOWN_FROM + i] for i in range(SHOWN)])).to(self.device)
        with Averaged(self.ema, self.network):
            latents = self.network.encoder(planes)
            decoded = self.network.decoder(latents)
        error = (decoded - planes).div(2).square().mean()
        self.curves.scalars({"preview psnr": -10 * error.log10().item(), "latent std": latents.std().item()}, step)
        both = torch.stack([planes, decoded]).clamp(-1, 1) / 2 + 0.5
        self.curves.writer.add_image("in, out", rearrange(both, "two n c h w -> c (two h) (n w)"), step)


def initial_autoencoder(config: TinyVaeConfig, source: PictureSource) -> AutoencoderTiny:
    """Return the autoencoder that a run starts with, float32 on the CPU.

    Random values come from the configuration's seed. What is not to be trained asks for no gradient.
    """
    from diffusers import AutoencoderTiny

    torch.manual_seed(config.run.seed)
    start = config.start
    if not start.weights:
        network = AutoencoderTiny()
        begin_as_mean_colours(network)
        return network
    network = load_vae(config.path(start.weights)).network.requires_grad_(True).train()
    if start.turn:
        pictures = _planes(torch.cat([source[FIT_FROM + i] for i in range(FIT_DRAWS)]))
        with torch.no_grad():
            latents = torch.cat([network.encoder(some) for some in pictures.split(8)])
        fold_turn(network, *fit_turn(latents, pictures))
    if start.trained == "decoder":
        network.encoder.requires_grad_(False)
    return network


def _perceptual(config: TinyVaeConfig, device: torch.device) -> Perceptual | None:
    if not config.worth.lpips:
        return None
    from ..evaluation.perceptual import load_lpips

    backbone = config.worth.lpips_backbone
    return load_lpips("alex", config.path(backbone) if backbone else None, device).model.forward


def _planes(pictures: Tensor) -> Tensor:
    """Pictures (n, h, w, 3), uint8, to (n, 3, h, w), float32, -1..1."""
    return rearrange(pictures, "n h w c -> n c h w").float() / 127.5 - 1
