"""A VAE and a configuration small enough to train with in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from m3ddm_core.vae import save_tiny


@pytest.fixture(scope="session")
def vae_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained autoencoder in TAESD's format."""
    from diffusers import AutoencoderTiny

    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("vae") / "tiny_vae.safetensors"
    save_tiny(path, AutoencoderTiny(), torch.float32)
    return path


@pytest.fixture
def settings(vae_file: Path, tmp_path: Path) -> dict[str, Any]:
    """A run of some seconds: 16-pixel clips of two frames through the narrowest network there is."""
    return {
        "run": {"output": str(tmp_path / "run"), "steps": 6, "save_every": 2, "log_every": 2, "seed": 5},
        "vae": {"path": str(vae_file)},
        "network": {
            "block_out_channels": [8, 8],
            "layers_per_block": 1,
            "cross_attention_dim": 8,
            "attention_heads": 2,
            "norm_num_groups": 4,
        },
        "optimizer": {"lr": 1e-3, "warmup": 4},
        "data": {
            "size": [16, 16],
            "frames": 2,
            "max_stride": 4,
            "video_frames": 16,
            "global_count": 2,
            "global_size": 48,
        },
        "synthetic": {"sprites": 0, "kinds": ["wall"], "detail": [0.0, 0.2]},
    }
