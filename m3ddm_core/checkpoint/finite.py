"""Weights that are not numbers: told when a file is read, and not by black pictures hours later."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .recognise import CheckpointError, shown


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite. Takes no memory of the tensor's size where they are."""
    if not tensor.is_floating_point():
        return True
    if tensor.itemsize == 1:
        # Numbers of eight bits have no sums of their own.
        tensor = tensor.to(torch.bfloat16)
    # One that is not finite makes the sum so too; but a sum may also grow too large.
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32))) or bool(torch.isfinite(tensor).all())


def check_finite(state_dict: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` that names the first tensors with a NaN or an infinity in them."""
    broken = [name for name, tensor in state_dict.items() if not is_finite(tensor)]
    if broken:
        more = f" and {len(broken) - 1:,} more" if len(broken) > 1 else ""
        raise CheckpointError(
            f"got {shown(broken[0])}{more} with values that are not finite, expected numbers: the weights are damaged; "
            "take the file again, or an earlier one of the training"
        )
