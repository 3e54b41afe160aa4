"""Files of weights: what is read of each form, and one line for what is wrong with it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from m3ddm_core.evaluation.weights import load_exactly, read_arrays, read_backbone, read_torch
from tests.helpers.metric_files import flax_backbone

LAYERS = (0, 3)


@pytest.fixture
def layers() -> dict[str, torch.Tensor]:
    """Two convolutions by torchvision's names."""
    draw = torch.Generator().manual_seed(0)
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "3.weight": (5, 4, 3, 3), "3.bias": (5,)}
    return {f"features.{name}": torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def test_arrays_come_by_their_paths(tmp_path):
    tree = {"params": {"layer/a": {"kernel": np.ones((2, 3))}}, "bias": np.zeros(2, np.float16)}
    (tmp_path / "tree.ckpt").write_bytes(pickle.dumps(tree))
    found = read_arrays(tmp_path / "tree.ckpt", "a tree")
    assert list(found) == ["params/layer/a/kernel", "bias"] and found["params/layer/a/kernel"].shape == (2, 3)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(7),
        pickle.dumps({"a": "text"}),
        pickle.dumps({"a": np.array([1, 2])}),
        b"",
        b"PK\x03\x04",
        b"\x80\x04",
    ],
    ids=["a number", "text", "integers", "nothing", "a zip", "half a pickle"],
)
def test_what_is_no_pickle_of_arrays_is_told(tmp_path, content):
    (tmp_path / "other.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"^other\.ckpt: got no pickle of arrays alone \(.*\), expected a tree$"):
        read_arrays(tmp_path / "other.ckpt", "a tree")


@pytest.mark.parametrize("form", ["flax", "torch"])
def test_convolutions_are_numbered_as_torchvisions(tmp_path, layers, form):
    path = tmp_path / "network"
    if form == "flax":
        flax_backbone(path, layers)
    else:
        torch.save({**layers, "classifier.0.bias": torch.ones(2)}, path)
    found = read_backbone(path, LAYERS, "a network")
    assert list(found) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, layers[f"features.{name}"], rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"^network: got a file without .*, expected a network$"):
        read_backbone(path, (0, 3, 6), "a network")


def test_files_of_torch_hold_tensors_by_name(tmp_path):
    torch.save(torch.ones(2), tmp_path / "tensor.pt")
    with pytest.raises(ValueError, match=r"^tensor\.pt: got a Tensor, expected weights$"):
        read_torch(tmp_path / "tensor.pt", "weights")
    (tmp_path / "text.pt").write_text("text")
    with pytest.raises(ValueError, match=r"^text\.pt: got a file that cannot be read, expected weights$"):
        read_torch(tmp_path / "text.pt", "weights")


def test_weights_fit_exactly_or_not_at_all():
    module = nn.Linear(2, 3)
    before = module.weight.clone()
    other = {"weight": torch.zeros(2, 3), "scale": torch.zeros(3)}
    message = (
        r"^x\.pt: got other weights \(bias missing, scale unknown, weight \(2, 3\) instead of \(3, 2\)\), expected y$"
    )
    with pytest.raises(ValueError, match=message):
        load_exactly(module, other, "x.pt", "y")
    assert torch.equal(module.weight, before)
    load_exactly(module, {"weight": torch.ones(3, 2), "bias": torch.ones(3)}, "x.pt", "y")
    assert module(torch.ones(1, 2)).tolist() == [[3, 3, 3]]
