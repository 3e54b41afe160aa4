"""Frechet distances in closed form and against a matrix root; and how videos reach the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from m3ddm_core.evaluation.fvd import frechet_distance, load_i3d


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


class Stand(torch.nn.Module):
    """Called as the I3D of StyleGAN-V is; its features tell what it was given."""

    def forward(self, x, rescale: bool = True, resize: bool = True, return_features: bool = False):
        assert not rescale and not resize and return_features
        return torch.stack([x.amin(), x.amax(), x[:, :, 0].mean(), torch.tensor(float(x.shape[2] * x.shape[3]))])[None]


def test_clips_are_cut_into_windows_of_the_networks_size(tmp_path):
    torch.jit.script(Stand()).save(tmp_path / "i3d.pt")
    i3d = load_i3d(tmp_path / "i3d.pt")
    frames = np.zeros((37, 16, 16, 3), dtype=np.uint8)
    frames[0], frames[16] = 255, 51
    found = i3d(frames)
    np.testing.assert_allclose(found, [[-1, 1, 1, 16 * 224], [-1, -0.6, -0.6, 16 * 224]], rtol=1e-6)
    assert len(i3d(frames[:15])) == 0


def test_another_file_is_told(tmp_path):
    (tmp_path / "i3d.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"i3d\.pt: got no TorchScript file, expected i3d_torchscript\.pt"):
        load_i3d(tmp_path / "i3d.pt")
