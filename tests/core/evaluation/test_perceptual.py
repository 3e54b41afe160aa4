"""LPIPS: one pass gives what the package gives in two, and weights come out of each kind of file."""

from __future__ import annotations

import pickle

import lpips
import numpy as np
import pytest
import torch

from m3ddm_core.evaluation.perceptual import LPIPS, load_lpips
from tests.helpers.metric_files import flax_backbone


@pytest.fixture(scope="module")
def package() -> lpips.LPIPS:
    """LPIPS over an AlexNet of random weights: its own need a download."""
    torch.manual_seed(0)
    return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pair() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 2, 64, 48, 3), dtype=np.uint8)


def layers_of(package: lpips.LPIPS) -> dict[str, torch.Tensor]:
    """The backbone's weights by torchvision's names."""
    return {"features." + name.partition(".")[2]: tensor for name, tensor in package.net.state_dict().items()}


def test_one_pass_gives_the_packages_distances_and_maps(package, pair):
    distances, spread = LPIPS(package)(*pair)
    pixels = torch.from_numpy(pair).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    np.testing.assert_allclose(distances, package(*pixels).flatten().numpy(), rtol=1e-5)
    package.spatial = True
    expected = package(*pixels)[:, 0].numpy()
    package.spatial = False
    assert spread.shape == (2, 64, 48)
    np.testing.assert_allclose(spread, expected, rtol=1e-4, atol=1e-6)


def test_equal_frames_are_at_no_distance(package, pair):
    distances, spread = LPIPS(package)(pair[0], pair[0])
    assert not distances.any() and not spread.any()


@pytest.mark.parametrize("kind", ["flax", "zipped", "old"])
def test_weights_come_from_a_file(tmp_path, package, pair, kind):
    path = tmp_path / "alexnet.pth"
    if kind == "flax":
        flax_backbone(path, layers_of(package))
    else:
        torch.save(layers_of(package), path, _use_new_zipfile_serialization=kind == "zipped")
    found = load_lpips("alex", path)
    np.testing.assert_allclose(found(*pair)[0], LPIPS(package)(*pair)[0], rtol=1e-6)


def test_a_file_of_another_network_is_told(tmp_path, package):
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: got a file without features\.0\.bias.*expected .*AlexNet"):
        load_lpips("alex", tmp_path / "other.pth")


class Evil:
    def __reduce__(self):
        return print, ("this ran",)


def test_a_pickle_that_runs_is_not_run(tmp_path, capsys):
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r"evil\.ckpt: got a file that cannot be read"):
        load_lpips("alex", tmp_path / "evil.ckpt")
    assert "this ran" not in capsys.readouterr().out
