"""Write a small M3DDM checkpoint and a TAESD-format VAE with seeded weights, so that all can run without downloads.

Run by the host's Python: ``python small_models.py FOLDER``. Both have the real files' structure and none of their
knowledge: the network paints what looks like noise, the VAE keeps an 8x8 block's mean colour.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

ROOT = Path(__file__).absolute().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "golden")]

from seeded_weights import seeded_state_dict  # noqa: E402

from m3ddm_core.unet import M3DDM_CONFIG, M3DDMUNet  # noqa: E402

CHECKPOINT = "m3ddm_tiny.safetensors"
VAE = "taesd_tiny.safetensors"
WIDTHS = (32, 32, 64, 64)
SEED = 2309

Weights = dict[str, np.ndarray]


def unet_weights(widths: tuple[int, ...] = WIDTHS) -> Weights:
    """A network of the published structure with other widths, every tensor drawn by its name."""
    with torch.device("meta"):
        model = M3DDMUNet(replace(M3DDM_CONFIG, block_out_channels=widths))
    return seeded_state_dict({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})


def vae_weights() -> Weights:
    """An autoencoder in the format of the Tiny AutoEncoder for Stable Diffusion (64 wide, eightfold).

    Colours pass through three of its 64 channels, halved by averaging and doubled by smoothing; a seeded projection
    takes them to four latent channels and back. Random weights all through would decode to one flat colour.
    """
    weights = _encoder() | _decoder()
    projection = np.linalg.qr(np.random.default_rng(SEED).standard_normal((4, 3)))[0].astype(np.float32)
    weights["vae_scale"] = np.array(0.18215, np.float32)  # Stable Diffusion's: raw latents have the real VAE's size
    weights["vae_shift"] = np.array(0.0, np.float32)
    # Pixels are 0..1 inside; latents are the projection of -1..1.
    _centre(weights, "taesd_encoder.0", np.eye(3))
    _centre(weights, "taesd_encoder.14", 2 * projection, -projection.sum(axis=1))
    _centre(weights, "taesd_decoder.1", projection.T / 2, np.full(3, 0.5))
    _centre(weights, "taesd_decoder.19", np.eye(3))
    for name in ("taesd_encoder.2", "taesd_encoder.6", "taesd_encoder.10"):
        weights[f"{name}.weight"][range(3), range(3), 1:, 1:] = 0.25
    smooth = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for name in ("taesd_decoder.7", "taesd_decoder.12", "taesd_decoder.17"):
        weights[f"{name}.weight"][range(3), range(3)] = smooth
    return weights


def _centre(weights: Weights, name: str, matrix: np.ndarray, bias: np.ndarray | float = 0.0) -> None:
    """Make a convolution multiply each pixel by ``matrix``, in its first channels."""
    outputs, inputs = matrix.shape
    weights[f"{name}.weight"][:outputs, :inputs, 1, 1] = matrix
    weights[f"{name}.bias"][:outputs] = bias


def _encoder() -> Weights:
    weights = _conv("taesd_encoder.0", 3, 64) | _block("taesd_encoder.1")
    for down in (2, 6, 10):
        weights |= _conv(f"taesd_encoder.{down}", 64, 64, bias=False)
        for i in (1, 2, 3):
            weights |= _block(f"taesd_encoder.{down + i}")
    return weights | _conv("taesd_encoder.14", 64, 4)


def _decoder() -> Weights:
    weights = _conv("taesd_decoder.1", 4, 64)
    for first in (3, 8, 13):
        for i in (0, 1, 2):
            weights |= _block(f"taesd_decoder.{first + i}")
        weights |= _conv(f"taesd_decoder.{first + 4}", 64, 64, bias=False)  # after the upsampling
    return weights | _block("taesd_decoder.18") | _conv("taesd_decoder.19", 64, 3)


def _block(name: str) -> Weights:
    """A residual block; with zeros in it, what comes in goes out."""
    return _conv(f"{name}.conv.0", 64, 64) | _conv(f"{name}.conv.2", 64, 64) | _conv(f"{name}.conv.4", 64, 64)


def _conv(name: str, inputs: int, outputs: int, bias: bool = True) -> Weights:
    weights = {f"{name}.weight": np.zeros((outputs, inputs, 3, 3), np.float32)}
    return weights | {f"{name}.bias": np.zeros(outputs, np.float32)} if bias else weights


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps(asdict(replace(M3DDM_CONFIG, block_out_channels=WIDTHS)))
    save_file(unet_weights(), folder / CHECKPOINT, metadata={"config": config})
    save_file(vae_weights(), folder / VAE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
