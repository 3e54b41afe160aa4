"""The core's tests run without ComfyUI: the repository's root and this folder's helpers are put on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]


@pytest.fixture(scope="session")
def tiny() -> dict[str, torch.Tensor]:
    """A small network's state dict with seeded weights."""
    from checkpoint_files import TINY, load_seeded_weights

    from m3ddm_core.checkpoint import expected_shapes

    arrays = load_seeded_weights().seeded_state_dict(expected_shapes(TINY))
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
