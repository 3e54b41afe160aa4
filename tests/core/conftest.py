"""What all of the core's tests share. They run without ComfyUI."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def tiny() -> dict[str, torch.Tensor]:
    """A small network's state dict with seeded weights."""
    from m3ddm_core.checkpoint import expected_shapes
    from tests.helpers.checkpoint_files import TINY, load_seeded_weights

    arrays = load_seeded_weights().seeded_state_dict(expected_shapes(TINY))
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
