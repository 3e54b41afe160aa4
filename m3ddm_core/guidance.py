"""Guidance over two conditions: the context of the clip itself, and the global frames of the video."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from torch import Tensor


class Branch(Enum):
    """One evaluation of the network, by what it is told; in the order in which they are evaluated."""

    FULL = "context and global frames"
    CONTEXT = "context"
    UNCONDITIONAL = "nothing"


def branch_weights(context_scale: float, global_scale: float) -> dict[Branch, float]:
    """Weights, adding up to one, of ``e(0,0) + s1 (e(c,0) - e(0,0)) + s2 (e(c,g) - e(c,0))``.

    The formula of the published sampler (arXiv 2309.02119, eq. 4), here for any pair of scales. A branch of weight
    zero need not be evaluated.
    """
    return {
        Branch.FULL: global_scale,
        Branch.CONTEXT: context_scale - global_scale,
        Branch.UNCONDITIONAL: 1.0 - context_scale,
    }


def needed_branches(weights: Mapping[Branch, float]) -> tuple[Branch, ...]:
    """Return the branches that have to be evaluated, in the order of :class:`Branch`."""
    return tuple(branch for branch in Branch if weights[branch] != 0)


def combine(predictions: Mapping[Branch, Tensor], weights: Mapping[Branch, float]) -> Tensor:
    """Weighted sum of predictions of one shape: of noise, or of clean latents, since the weights add up to one."""
    return sum(weights[branch] * prediction for branch, prediction in predictions.items() if weights[branch] != 0)
