"""The Composite in a host: what the Edge Mask passes on comes back at the size that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch


@pytest.fixture
def node(pack: Any) -> Any:
    return pack.nodes["M3DDM_Composite"]


OPTIONS = {"feather": 4, "colour_match": "linear", "resampling": "lanczos"}


def _noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2))


def test_the_frozen_names(node: Any) -> None:
    schema = node.GET_SCHEMA()
    assert schema.node_id == "M3DDM_Composite" and schema.category == "M3DDM" and schema.search_aliases
    names = ["source", "generated", "placement", "feather", "colour_match", "resampling"]
    assert [entry.id for entry in schema.inputs] == names
    assert [entry.default for entry in schema.inputs[3:]] == [8, "none", "lanczos"]
    assert schema.inputs[4].options == ["none", "linear"]
    assert schema.inputs[5].options == ["lanczos", "bicubic", "bilinear"]
    assert [entry.io_type for entry in schema.outputs] == ["IMAGE"]
    assert all(entry.tooltip for entry in (*schema.inputs, *schema.outputs))


@pytest.mark.parametrize("canvas_factor", [1, 2])
def test_source_pixels_come_back_in_a_target_of_odd_size(pack: Any, node: Any, canvas_factor: int) -> None:
    source = _noise(3, 37, 63, 3)
    place = pack.module("m3ddm_core.geometry").place
    placement = place((63, 37), 3, ratio="1:1", size_multiple=1, canvas_size=56)
    generated = _noise(3, 56 * canvas_factor, 56 * canvas_factor, 3)
    (images,) = node.execute(source, generated, placement, **OPTIONS).args
    assert images.shape == (3, 63, 63, 3) and images.dtype == torch.float32
    assert torch.equal(images[:, 13 + 4 : 13 + 37 - 4], source[:, 4:-4])


def test_frames_that_do_not_belong_together_are_named(pack: Any, node: Any) -> None:
    placement = pack.module("m3ddm_core.geometry").place((64, 36), 3, ratio="1:1", canvas_size=32)
    with pytest.raises(ValueError, match=r"2 generated frames.*Expected 3"):
        node.execute(_noise(3, 36, 64, 3), _noise(2, 32, 32, 3), placement, **OPTIONS)
    with pytest.raises(ValueError, match=r"64x36.*Expected.*32x32"):
        node.execute(_noise(3, 36, 64, 3), _noise(3, 36, 64, 3), placement, **OPTIONS)
