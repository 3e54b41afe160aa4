"""DISTS on few channels: closed forms, the formula written out, masks, and files that are none of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from m3ddm_core.evaluation.dists import (
    DISTS,
    SMALL,
    VGG16,
    VGG16_LAYERS,
    _likeness,
    l2_pool,
    load_dists,
    read_published,
)
from tests.helpers.metric_files import TINY_VGG, flax_backbone


@pytest.fixture(scope="module")
def tiny() -> DISTS:
    torch.manual_seed(0)
    network = DISTS(TINY_VGG).requires_grad_(False)
    for weights in (network.alpha, network.beta):
        weights.uniform_(0.1, 1)
    return network


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    one, other = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)
    return one, (one // 2 + other // 2).astype(np.uint8)


def left(width: int) -> np.ndarray:
    mask = np.zeros((64, 48), dtype=bool)
    mask[:, :width] = True
    return mask


def test_equal_frames_are_at_no_distance(tiny, pair):
    assert tiny(pair[0], pair[0], [None, left(10)]) == pytest.approx([0, 0], abs=1e-6)


def test_two_greys_have_a_closed_form():
    """Without any layers the pixels are the features: greys differ in their means alone, which are half of it."""
    dark, light = (np.full((16, 16, 3), level, np.uint8) for level in (51, 153))
    a, b = 0.2, 0.6
    expected = 1 - (0.5 * (2 * a * b + SMALL) / (a**2 + b**2 + SMALL) + 0.5)
    assert DISTS(())(dark, light, [None]) == pytest.approx([expected])


def test_the_formula_written_out_agrees(tiny, pair):
    one, other = (torch.from_numpy(frame).permute(2, 0, 1).double()[None] / 255 for frame in pair)
    plain = DISTS(TINY_VGG).requires_grad_(False)
    plain.load_state_dict(tiny.state_dict())
    likeness, start = 0.0, 0
    weights = torch.stack([tiny.alpha, tiny.beta]).double()
    weights = weights / weights.sum()
    for x, y in zip(plain.double().features(one), plain.features(other), strict=True):
        x, y = x[0].flatten(1), y[0].flatten(1)
        alpha, beta = weights[:, start : start + len(x)]
        covariance = ((x - x.mean(1, keepdim=True)) * (y - y.mean(1, keepdim=True))).mean(1)
        means = (2 * x.mean(1) * y.mean(1) + SMALL) / (x.mean(1) ** 2 + y.mean(1) ** 2 + SMALL)
        structure = (2 * covariance + SMALL) / (x.var(1, correction=0) + y.var(1, correction=0) + SMALL)
        likeness, start = likeness + alpha @ means + beta @ structure, start + len(x)
    (found,) = tiny(*pair, [None])
    assert found == pytest.approx(1 - likeness.item(), abs=1e-5)
    assert 0.01 < found < 1, "the case tells something"


def test_what_is_not_under_a_mask_does_not_count():
    pixels = DISTS(())
    one = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    other = one.copy()
    other[:, 20:] = 255 - other[:, 20:]
    whole, clean, spoiled = pixels(one, other, [None, left(20), ~left(20)])
    assert clean == pytest.approx(0, abs=1e-6) and spoiled > whole > 0.1
    assert pixels(one, other, [np.ones((64, 48), dtype=bool)]) == pytest.approx([whole])


def test_a_flat_area_has_no_noise_of_its_own():
    """Ten thousand is what deep features come to: in float32 the rounding errors of its square outweigh everything."""
    flat = torch.full((1, 8, 8), 1e4)
    spread = flat + torch.arange(8.0)[:, None]
    half = torch.zeros(1, 8, 8)
    half[:, :1] = 1
    means, structure = _likeness(flat, spread, half)
    assert means.item() == pytest.approx(1) and structure.item() == pytest.approx(1, abs=1e-3)


def test_means_do_not_ask_where_a_texture_lies():
    torch.manual_seed(1)
    network = DISTS(TINY_VGG).requires_grad_(False)
    network.beta.zero_()
    one = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (moved,), (darker,) = (network(one, other, [None]) for other in (np.roll(one, 7, 1), one // 2))
    assert moved < darker / 10


def test_pooling_is_a_root_of_a_mean_of_squares():
    flat = torch.full((1, 2, 8, 8), 3.0)
    assert l2_pool(flat)[:, :, 1:, 1:].unique().tolist() == pytest.approx([3])
    dot = torch.zeros(1, 1, 8, 8)
    dot[..., 4, 4] = 2
    assert l2_pool(dot)[0, 0].max().item() == pytest.approx(2 * 0.5), "a quarter of the weight lies in the middle"
    assert l2_pool(dot).shape == (1, 1, 4, 4)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> tuple[Path, Path]:
    """Files of the published form and size: vgg16.ckpt and weights.pt."""
    folder = tmp_path_factory.mktemp("published")
    layers, width = {}, 3
    outs = [out for stage in VGG16 for out in stage]
    for layer, out in zip(VGG16_LAYERS, outs, strict=True):
        layers |= {
            f"features.{layer}.weight": torch.full((out, width, 3, 3), 0.5),
            f"features.{layer}.bias": torch.ones(out),
        }
        width = out
    flax_backbone(folder / "vgg16.ckpt", layers, "VGG16_0")
    channels = 3 + sum(stage[-1] for stage in VGG16)
    torch.save({name: torch.rand(1, channels, 1, 1) for name in ("alpha", "beta")}, folder / "weights.pt")
    return folder / "vgg16.ckpt", folder / "weights.pt"


def test_published_files_are_read(published):
    weights = read_published(*published)
    assert weights["stages.4.2.weight"].shape == (512, 512, 3, 3) and weights["alpha"].shape == (1475,)
    assert len(weights) == 2 * 13 + 2


def test_other_files_are_told_in_a_line(published, tmp_path):
    torch.save({"alpha": torch.ones(1, 7, 1, 1)}, tmp_path / "other.pt")
    message = r"vgg16\.ckpt, other\.pt: got other weights \(beta missing, alpha \(7,\) instead of \(1475,\)\), expected"
    with pytest.raises(ValueError, match=message):
        read_published(published[0], tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"weights\.pt: got a file without 0\.weight"):
        read_published(published[1], published[1])


def test_a_converted_file_measures_as_its_weights_do(tiny, pair, tmp_path):
    save_file(tiny.state_dict(), tmp_path / "dists.safetensors")
    assert load_dists(tmp_path / "dists.safetensors", widths=TINY_VGG)(*pair, [None]) == tiny(*pair, [None])
    with pytest.raises(ValueError, match=r"dists\.safetensors: got other weights .*convert-metric dists"):
        load_dists(tmp_path / "dists.safetensors")
