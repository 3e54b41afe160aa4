"""Distances of videos in I3D's features: Frechet's between two sets (arXiv 1812.01717), and of each to its truth."""

from __future__ import annotations

import numpy as np


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


def paired_distance(truth: np.ndarray, result: np.ndarray) -> float | None:
    """Mean Euclidean distance of a result's windows to the same windows of its truth, features (windows, d) of both.

    What a clip shows is in both, so that few clips tell methods apart; between sets it drowns the difference. None for
    a clip shorter than a window.
    """
    return float(np.linalg.norm(truth - result, axis=1).mean()) if len(truth) else None
