"""The Composite in a host: what the Edge Mask passes on comes back at the size that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch


@pytest.fixture
def node(pack: Any) -> Any:
    return pack.nodes["M3DDM_Composite"]


OPTIONS = {"feather": 4, "colour_match": "linear", "resampling": "lanczos"}


def _placed(pack: Any, size: tuple[int, int], frames: int, **where: Any) -> Any:
    """What the Edge Mask says of a video of so many frames of (width, height), all of which are used."""
    placement = pack.module("m3ddm_core.canvas.placement").place(size, **where)
    return pack.module("nodes.host.placed_video").PlacedVideo(placement, frames, frames, "smooth", placement.source)


def _noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2))


def test_the_frozen_names(node: Any) -> None:
    schema = node.GET_SCHEMA()
    assert schema.node_id == "M3DDM_Composite" and schema.category == "M3DDM" and schema.search_aliases
    names = ["source", "generated", "placement", "feather", "colour_match", "resampling", "blend", "source_mask"]
    assert [entry.id for entry in schema.inputs] == [*names, "seen"]
    assert [entry.default for entry in schema.inputs[3:7]] == [8, "steady", "lanczos", "gradient"]
    assert schema.inputs[4].options == ["none", "linear", "steady"]
    assert schema.inputs[5].options == ["lanczos", "bicubic", "bilinear"]
    assert schema.inputs[6].options == ["feather", "gradient"]
    optional = ["blend", "source_mask", "seen"]
    assert [entry.id for entry in schema.inputs if entry.optional] == optional, "saved prompts lack them"
    assert [entry.io_type for entry in schema.outputs] == ["IMAGE", "MASK"]
    assert [entry.display_name for entry in schema.outputs] == ["images", "provenance"]
    assert all(entry.tooltip for entry in (*schema.inputs, *schema.outputs))


@pytest.mark.parametrize("canvas_factor", [1, 2])
def test_source_pixels_come_back_in_a_target_of_odd_size(pack: Any, node: Any, canvas_factor: int) -> None:
    source = _noise(3, 37, 63, 3)
    placement = _placed(pack, (63, 37), 3, ratio="1:1", size_multiple=1, canvas_size=56)
    generated = _noise(3, 56 * canvas_factor, 56 * canvas_factor, 3)
    images, provenance = node.execute(source, generated, placement, **OPTIONS).args
    assert images.shape == (3, 63, 63, 3) and images.dtype == torch.float32
    assert torch.equal(images[:, 13 + 4 : 13 + 37 - 4], source[:, 4:-4])
    assert provenance.shape == (1, 63, 63), "one mask for all frames"
    assert not provenance[:, 13:50].any() and (provenance[:, :13] == 1).all() and (provenance[:, 50:] == 1).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_the_vae_could_not_decode_is_named(pack: Any, node: Any, value: float) -> None:
    placement = _placed(pack, (32, 32), 3, ratio="16:9", canvas_size=64)
    generated = _noise(3, 64, 64, 3)
    generated[2, 5, 6, 1] = value
    with pytest.raises(ValueError, match=r"NaN or infinity in the generated frames in frame 2.* --fp32-vae"):
        node.execute(_noise(3, 32, 32, 3), generated, placement, **OPTIONS)


def test_a_prompt_of_the_first_release_means_what_it_did(pack: Any, node: Any) -> None:
    placement = _placed(pack, (32, 32), 2, pixels=(32, 0, 0, 0), canvas_size=64)
    source, generated = _noise(2, 32, 32, 3), torch.full((2, 64, 64, 3), 0.25)
    old, plain, blended = (
        node.execute(source, generated, placement, feather=0, colour_match="none", resampling="lanczos", **new).args[0]
        for new in ({}, {"blend": "feather"}, {"blend": "gradient"})
    )
    assert torch.equal(old, plain)
    torch.testing.assert_close(old[:, :, :32], torch.full((2, 32, 32, 3), 0.25))
    for images in (old, blended):
        assert torch.equal(images[:, :, 32:], source)
    assert (blended[:, :, 31] - source[:, :, 0]).abs().mean() < (old[:, :, 31] - source[:, :, 0]).abs().mean() / 3


def test_frames_that_do_not_belong_together_are_named(pack: Any, node: Any) -> None:
    placement = _placed(pack, (64, 36), 3, ratio="1:1", canvas_size=32)
    with pytest.raises(ValueError, match=r"4 source frames of 64x36, expected 3"):
        node.execute(_noise(4, 36, 64, 3), _noise(4, 32, 32, 3), placement, **OPTIONS)
    with pytest.raises(ValueError, match=r"3 source frames of 63x36, expected 3.*64x36"):
        node.execute(_noise(3, 36, 63, 3), _noise(3, 32, 32, 3), placement, **OPTIONS)
    with pytest.raises(ValueError, match=r"2 generated frames.*expected 3"):
        node.execute(_noise(3, 36, 64, 3), _noise(2, 32, 32, 3), placement, **OPTIONS)
    with pytest.raises(ValueError, match=r"64x36, expected.*32x32"):
        node.execute(_noise(3, 36, 64, 3), _noise(3, 36, 64, 3), placement, **OPTIONS)


def test_the_first_frames_of_a_longer_source_and_its_masks_are_taken(pack: Any, node: Any) -> None:
    placed = pack.edge_mask(_noise(5, 36, 64, 3), target="1:1", canvas_size=64, first_frames=3)[2]
    source, generated = _noise(5, 36, 64, 3), _noise(3, 64, 64, 3)
    mask = torch.zeros(5, 36, 64)
    mask[1, 8:16, 4:14] = mask[4] = 1
    whole, cut = (
        node.execute(source[:count], generated, placed, source_mask=mask[:count], **OPTIONS).args[0] for count in (5, 3)
    )
    assert len(whole) == 3 and torch.equal(whole, cut)
    plain = node.execute(source, generated, placed, **OPTIONS).args[0]
    assert not torch.equal(whole, plain) and torch.equal(whole[2], plain[2])
    provenance = node.execute(source, generated, placed, source_mask=mask, **OPTIONS).args[1]
    # The source of 64x36 stands in the middle of 64x64.
    assert provenance.shape == (3, 64, 64) and torch.equal(provenance[:, 14:50], mask[:3])
