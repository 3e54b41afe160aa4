"""What is composited under the user's own mask: the rest of the source stays, and no line shows where the two meet."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from m3ddm_core.canvas.build import make_canvas
from m3ddm_core.canvas.placement import Placement, place
from m3ddm_core.composite.compositor import BLENDS, COLOUR_MATCHES, Compositor, composite
from m3ddm_core.composite.patch import kept_share, patches

FRAMES = 3
BORDERED = place((64, 36), ratio="1:1", canvas_size=32)
FULL = place((64, 36), ratio="16:9", canvas_size=32)


def noise(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def source_of(placement: Placement) -> torch.Tensor:
    return noise(FRAMES, placement.source[1], placement.source[0], 3)


def generated_of(placement: Placement, factor: int = 1) -> torch.Tensor:
    return noise(FRAMES, placement.canvas[1] * factor, placement.canvas[0] * factor, 3, seed=5)


def moving_mask(placement: Placement) -> torch.Tensor:
    """A square that moves and is gone in the last frame."""
    mask = torch.zeros(FRAMES, placement.source[1], placement.source[0])
    for number in range(FRAMES - 1):
        mask[number, 8:16, 4 + 5 * number : 14 + 5 * number] = 1
    return mask


def smooth_scene(placement: Placement) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth source, and its canvas."""
    coarse = noise(FRAMES, 3, 3, 4, seed=7) * 0.6 + 0.2
    size = (placement.source[1], placement.source[0])
    source = F.interpolate(coarse, size, mode="bilinear", align_corners=True).movedim(1, -1).contiguous()
    return source, make_canvas(source, placement)[0]


def test_the_distance_is_counted_from_centre_to_centre() -> None:
    matte = torch.zeros(2, 9, 12, dtype=torch.bool)
    matte[0, 4, 3] = matte[1, 0, 0] = matte[1, 8, 11] = True
    share = kept_share(matte, 6)
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="ij")
    for frame, points in zip(share, (((4, 3),), ((0, 0), (8, 11))), strict=True):
        distance = torch.stack([((y - row) ** 2 + (x - column) ** 2).sqrt() for row, column in points]).amin(0)
        ramp = (distance / 6).clamp(max=1)
        torch.testing.assert_close(frame, ramp**2 * (3 - 2 * ramp))
        assert (frame == 1).equal(distance >= 6)
    assert torch.equal(kept_share(matte, 0), (~matte).float())


@pytest.mark.parametrize("placement", [BORDERED, FULL])
@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("colour_match", COLOUR_MATCHES)
def test_an_empty_mask_changes_nothing(placement: Placement, blend: str, colour_match: str) -> None:
    source, generated = source_of(placement), generated_of(placement)
    options = {"blend": blend, "colour_match": colour_match}
    plain = composite(source, generated, placement, **options)
    assert torch.equal(composite(source, generated, placement, source_mask=torch.zeros(1, 36, 64), **options), plain)


@pytest.mark.parametrize("placement", [BORDERED, FULL])
@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("colour_match", ["none", "steady"])
@pytest.mark.parametrize("feather", [0, 3])
def test_what_is_not_masked_stays_to_the_bit(placement: Placement, blend: str, colour_match: str, feather: int) -> None:
    source, mask = source_of(placement), moving_mask(placement)
    options = {"blend": blend, "colour_match": colour_match, "feather": feather}
    result = composite(source, generated_of(placement), placement, source_mask=mask, **options)
    (x, y), (width, height) = placement.offset, placement.source
    own = result[:, y : y + height, x : x + width]
    kept = kept_share(mask > 0, feather) == 1
    if not placement.is_full:
        kept[:, :feather], kept[:, height - feather :] = False, False
    assert kept.any() and torch.equal(own[kept], source[kept])
    assert (own[mask > 0] != source[mask > 0]).any(-1).all(), "nothing of the source is left under the mask"
    assert result.min() >= 0 and result.max() <= 1


@pytest.mark.parametrize("placement", [BORDERED, FULL])
@pytest.mark.parametrize("factor", [1, 3])
def test_under_the_mask_is_the_generated_picture(placement: Placement, factor: int) -> None:
    """Where all is masked the source has no say at all."""
    size = (placement.canvas[1] * factor, placement.canvas[0] * factor)
    generated = F.interpolate(noise(3, 3, 4, 4, seed=5), size, mode="bilinear").movedim(1, -1)
    everything = torch.ones(1, 36, 64)
    one, other = (
        composite(noise(3, 36, 64, 3, seed=seed), generated, placement, source_mask=everything, feather=4, blend=blend)
        for seed, blend in ((1, "feather"), (2, "gradient"))
    )
    torch.testing.assert_close(one, other, rtol=0, atol=5e-3)
    whole = place((64, 36), pixels=(0, 36, 0, 0), canvas_size=64)
    flat = composite(source_of(whole), torch.full((3, 72, 64, 3), 0.25)[:, :64], whole, source_mask=everything)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.25))


@pytest.mark.parametrize("placement", [BORDERED, FULL])
@pytest.mark.parametrize("colour_match", ["linear", "steady"])
def test_the_source_under_the_mask_does_not_spoil_the_colours(placement: Placement, colour_match: str) -> None:
    source, canvas = smooth_scene(placement)
    cast = canvas * 0.8 + 0.1
    mask = torch.zeros(1, 36, 64)
    mask[:, :14, 10:40] = 1
    spoilt = torch.where(mask[..., None] > 0, torch.tensor([1.0, 0.0, 1.0]), source)
    one, other = (
        composite(frames, cast, placement, source_mask=mask, colour_match=colour_match, feather=0)
        for frames in (source, spoilt)
    )
    assert torch.equal(one, other)
    plain = composite(source, cast, placement, source_mask=mask, feather=0)
    true = composite(source, canvas, placement, feather=0)
    assert (one - true).abs().mean() < (plain - true).abs().mean() / 2


@pytest.mark.parametrize("placement", [BORDERED, FULL])
@pytest.mark.parametrize("feather", [0, 5])
def test_a_gradient_blend_takes_off_a_tint(placement: Placement, feather: int) -> None:
    source = torch.full((3, 36, 64, 3), 0.6)
    generated = source.new_full((3, placement.canvas[1], placement.canvas[0], 3), 0.6) + noise(3, 1, 1, 3) * 0.3 - 0.15
    options = {"source_mask": moving_mask(placement), "feather": feather}
    blended = composite(source, generated, placement, blend="gradient", **options)
    torch.testing.assert_close(blended, torch.full_like(blended, 0.6), rtol=0, atol=2e-3)
    assert (composite(source, generated, placement, **options) - 0.6).abs().max() > 0.05


def test_a_gradient_blend_leaves_no_step() -> None:
    """Black instead of a slow wave: the patch goes on from all its sides."""
    source, _ = smooth_scene(FULL)
    mask = torch.zeros(1, 36, 64)
    mask[:, 10:26, 20:44] = 1
    result = composite(source, torch.zeros(3, 32, 32, 3), FULL, source_mask=mask, feather=0, blend="gradient")
    for axis in (1, 2):
        assert result.diff(dim=axis).abs().max() < 2 * source.diff(dim=axis).abs().max()
    assert result.min() > 0.15


@pytest.mark.parametrize("placement", [BORDERED, FULL])
@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("colour_match", COLOUR_MATCHES)
def test_it_does_not_matter_how_a_video_is_cut(
    monkeypatch: pytest.MonkeyPatch, placement: Placement, colour_match: str, blend: str
) -> None:
    monkeypatch.setattr("m3ddm_core.frames.CHUNK_PIXELS", 2 * 64 * 64)
    source, generated, mask = source_of(placement), generated_of(placement), moving_mask(placement)
    options = {"colour_match": colour_match, "blend": blend}
    together = composite(source, generated, placement, source_mask=mask, **options)
    compositor = Compositor(placement, **options)
    parts = [compositor(source[i : i + 1], generated[i : i + 1], mask[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.cat(parts), together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("blend", BLENDS)
def test_what_lies_far_apart_is_patched_each_by_itself(blend: str) -> None:
    """Two bars and a logo: as if each were alone, and together they do not make one patch of the whole frame."""
    placement = place((200, 120), pixels=(0, 0, 0, 0), canvas_size=64)
    source, generated = noise(1, 120, 200, 3), noise(1, 64, 64, 3, seed=5)
    masks = torch.zeros(3, 120, 200)
    masks[0, :6], masks[1, 114:], masks[2, 55:63, 180:190] = 1, 1, 1
    found = list(patches(masks.amax(0, keepdim=True) > 0, 4))
    assert [spans for _, spans in found] == [
        (slice(0, 26), slice(0, 200)),
        (slice(35, 83), slice(160, 200)),
        (slice(94, 120), slice(0, 200)),
    ]
    together = composite(source, generated, placement, source_mask=masks.amax(0), feather=4, blend=blend)
    one_by_one = source
    for mask in masks:
        one_by_one = composite(one_by_one, generated, placement, source_mask=mask, feather=4, blend=blend)
    assert torch.equal(together, one_by_one)
    beside = torch.zeros(1, 120, 200, dtype=torch.bool)
    beside[0, 10, 10], beside[0, 10, 50], beside[0, 10, 91] = True, True, True
    assert [spans[1] for _, spans in patches(beside, 4)] == [slice(0, 71), slice(71, 112)]


def test_what_is_not_finite_stays_under_the_mask_and_in_its_frame() -> None:
    source, generated, mask = source_of(FULL), generated_of(FULL), moving_mask(FULL)
    generated[0] = torch.nan
    options = {"blend": "gradient", "colour_match": "steady", "feather": 2}
    result = composite(source, generated, FULL, source_mask=mask, **options)
    kept = kept_share(mask > 0, 2) == 1
    assert torch.equal(result[kept], source[kept]) and torch.isfinite(result[1:]).all()


@pytest.mark.parametrize(
    ("generated", "mask", "message"),
    [
        ((2, 32, 32, 3), (1, 36, 64), r"2 generated frames.*expected 3"),
        ((3, 32, 32, 3), (1, 36, 63), r"source mask of 63x36, expected 64x36"),
        ((3, 32, 32, 3), (2, 36, 64), r"source mask of 2 frames for 3"),
        ((3, 18, 32, 3), (1, 36, 64), r"32x18.*32x32.*crop"),
    ],
)
def test_what_does_not_belong_together_is_named(generated: tuple, mask: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        composite(torch.zeros(3, 36, 64, 3), torch.zeros(generated), FULL, source_mask=torch.ones(mask))
