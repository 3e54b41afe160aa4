"""What an autoencoder's pictures are worth: pixels, edges, LPIPS, sharpness; and what its latents are worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from .colour_axes import colour_error

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

    from .tiny_vae_config import Worth

WINDOW = 8
"""Sharpness is compared in windows of so many pixels, half a window apart."""

LEAST_ENERGY = 1e-4
"""Keeps the root of an energy from being infinitely steep where a picture is flat."""

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""Distances of pictures (n, 3, h, w), -1..1, in any shape; their mean counts. No module: it is not trained or saved."""


class Reconstruction(nn.Module):
    """The autoencoder's loss over pictures, as one forward."""

    def __init__(self, network: AutoencoderTiny, settings: Worth, perceptual: Perceptual | None = None):
        super().__init__()
        self.network, self.settings = network, settings
        self.perceptual = perceptual

    def forward(self, pictures: Tensor, noise: Tensor) -> Tensor:
        """``pictures`` (n, 3, s, s) in -1..1, ``noise`` (n, 4, s / 8, s / 8); returns the loss ()."""
        settings = self.settings
        latents = self.network.encoder(pictures)
        decoded = self.network.decoder(latents + settings.noise * noise)
        return self.of_pictures(decoded, pictures) + self.of_latents(latents, pictures)

    def of_pictures(self, decoded: Tensor, pictures: Tensor) -> Tensor:
        """The loss () of decoded pictures (n, 3, s, s)."""
        settings = self.settings
        loss = sum(F.l1_loss(*(F.avg_pool2d(x, size) for x in (decoded, pictures))) for size in (1, 2, 4)) / 3
        for axis in (-1, -2):
            loss = loss + settings.edges * F.l1_loss(decoded.diff(dim=axis), pictures.diff(dim=axis))
        if settings.sharpness:
            loss = loss + settings.sharpness * F.l1_loss(local_contrast(decoded), local_contrast(pictures))
        if self.perceptual is not None:
            loss = loss + settings.lpips * self.perceptual(decoded, pictures).mean()
        return loss

    def of_latents(self, latents: Tensor, pictures: Tensor) -> Tensor:
        """The loss () of latents (n, 4, h, w): their spread, and the colours that ComfyUI's preview takes from them."""
        mean, variance = latents.mean(dim=(0, 2, 3)), latents.var(dim=(0, 2, 3))
        loss = self.settings.spread * (mean.square() + (variance.sqrt() - 1).square()).mean()
        if self.settings.colours:
            loss = loss + self.settings.colours * colour_error(latents, pictures)
        return loss


def local_contrast(pictures: Tensor) -> Tensor:
    """Root mean square of the differences of neighbouring pixels, window by window.

    ``pictures`` (n, c, h, w); returns (n, c, y, x). Unlike an error in the differences themselves, an error in it is
    not least for a blur where a texture's strength is known and its pattern is not.
    """
    across, down = (pictures.diff(dim=axis).square() for axis in (-1, -2))
    energy = across[..., :-1, :] + down[..., :-1]
    return (F.avg_pool2d(energy, WINDOW, WINDOW // 2) + LEAST_ENERGY).sqrt()
