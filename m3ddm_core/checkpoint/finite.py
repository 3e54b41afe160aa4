"""Weights that are not numbers: told when a file is read, and not by black pictures hours later."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .recognise import CheckpointError, shown


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite, by their extremes: both are NaN where any value is, and nothing is copied."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.itemsize == 1:
        # Numbers of eight bits are not compared with each other.
        tensor = tensor.to(torch.bfloat16)
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(tensor))


def check_finite(state_dict: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` that names the first tensors with a NaN or an infinity in them."""
    broken = [name for name, tensor in state_dict.items() if not is_finite(tensor)]
    if broken:
        more = f" and {len(broken) - 1:,} more" if len(broken) > 1 else ""
        raise CheckpointError(
            f"got {shown(broken[0])}{more} with values that are not finite, expected numbers: the weights are damaged; "
            "take the file again, or an earlier one of the training"
        )
