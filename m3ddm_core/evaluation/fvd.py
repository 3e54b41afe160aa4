"""Frechet video distance (Unterthiner et al., arXiv 1812.01717) over the features of an I3D given as TorchScript."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange

WINDOW = 16
"""Frames of one video as the network sees it: a clip is cut into as many as fit, end to end."""

INPUT_SIZE = 224
WHERE_TO_GET = "i3d_torchscript.pt, which the authors of StyleGAN-V link to in their repository fvd-comparison"


class I3D:
    """Features of windows of 16 frames; ``network`` is called as the file named in ``WHERE_TO_GET`` is."""

    def __init__(self, network: torch.nn.Module, device: torch.device | str = "cpu"):
        self.network, self.device = network, device

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Frames (n, h, w, 3), uint8, to features (n // 16, d), float64."""
        features = []
        for start in range(0, len(frames) - WINDOW + 1, WINDOW):
            window = torch.from_numpy(frames[start : start + WINDOW]).to(self.device)
            pixels = rearrange(window, "t h w c -> t c h w").float() / 127.5 - 1
            pixels = F.interpolate(pixels, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
            video = rearrange(pixels, "t c h w -> 1 c t h w")
            found = self.network(video, rescale=False, resize=False, return_features=True)
            features.append(found[0].double().cpu().numpy())
        return np.stack(features) if features else np.empty((0, 0))


def load_i3d(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> I3D:
    """Load the network from a TorchScript file. Raises ValueError where it is none."""
    try:
        return I3D(torch.jit.load(str(path), map_location=device).eval(), device)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{Path(path).name}: got no TorchScript file, expected {WHERE_TO_GET}") from error


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Frechet distance of the normal distributions fitted to features (n, d) and (m, d).

    Raises ValueError for fewer than two of either, which have no covariance.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"got {len(one)} and {len(other)} feature vectors, expected at least two of each")
    deviations = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (one, other)]
    # With S = A'A and T = B'B the trace of (S T)^(1/2) is the sum of the singular values of A B', which unlike a matrix
    # root stays exact when there are fewer videos than dimensions.
    shared = np.linalg.svd(deviations[0] @ deviations[1].T, compute_uv=False).sum()
    spread = sum((deviation**2).sum() for deviation in deviations)
    return float(((one.mean(0) - other.mean(0)) ** 2).sum() + spread - 2 * shared)
