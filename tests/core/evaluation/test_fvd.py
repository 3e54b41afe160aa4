"""Distances in I3D's features, in closed form and against a matrix root."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from m3ddm_core.evaluation.fvd import frechet_distance, paired_distance


def draw(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_equal_features_are_at_no_distance():
    assert frechet_distance(draw(0, 20, 5), draw(0, 20, 5)) == pytest.approx(0, abs=1e-9)


def test_a_shift_costs_its_square_and_a_scale_the_spread():
    features = draw(0, 30, 6)
    assert frechet_distance(features, features + 2) == pytest.approx(4 * 6)
    centred = features - features.mean(0)
    spread = np.trace(np.cov(features, rowvar=False))
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * spread)


@pytest.mark.parametrize("n", [40, 5])
def test_a_matrix_root_agrees(n):
    one, other = draw(1, n, 8) @ draw(2, 8, 8), draw(3, n + 1, 8) + 1
    s, t = (np.cov(x, rowvar=False) for x in (one, other))
    root = sqrtm((s + 1e-10 * np.eye(8)) @ (t + 1e-10 * np.eye(8))).real
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(s + t - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-3)


def test_one_video_has_no_spread():
    with pytest.raises(ValueError, match="got 1 and 4 feature vectors, expected at least two"):
        frechet_distance(draw(0, 1, 3), draw(0, 4, 3))


def test_each_window_is_held_against_its_own_truth():
    truth = draw(0, 3, 4)
    assert paired_distance(truth, truth) == 0
    steps = np.array([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert paired_distance(truth, truth + steps) == pytest.approx((5 + 1 + 0) / 3)
    assert paired_distance(np.empty((0, 0)), np.empty((0, 0))) is None
