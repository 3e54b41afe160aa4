from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from m3ddm_core.canvas.build import make_canvas
from m3ddm_core.canvas.placement import Placement, place
from m3ddm_core.composite.compositor import BLENDS, COLOUR_MATCHES, Compositor, composite
from m3ddm_core.composite.resample import KERNELS, resampling_matrix

FRAMES = 3
PLACEMENTS = [
    place((64, 36), ratio="1:1", canvas_size=32),
    place((36, 64), ratio="1:1", canvas_size=64, anchor="left"),
    place((63, 37), ratio="16:9", size_multiple=1, canvas_size=32, canvas_shape="target", anchor="bottom right"),
    place((51, 40), pixels=(13, 7, 0, 21), size_multiple=1, canvas_size=48),
    place((41, 41), ratio="1:1", canvas_size=16),
    place((20, 20), pixels=(40, 40, 40, 40), canvas_size=64),
    place((400, 2), pixels=(1, 0, 0, 30), canvas_size=64),
]


def _noise(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _source(placement: Placement, frames: int = FRAMES) -> torch.Tensor:
    return _noise(frames, placement.source[1], placement.source[0], 3)


def _generated(placement: Placement, factor: int = 1, frames: int = FRAMES) -> torch.Tensor:
    return _noise(frames, placement.canvas[1] * factor, placement.canvas[0] * factor, 3, seed=5)


def _distance(placement: Placement) -> torch.Tensor:
    """How far each source pixel's centre is from the nearest one of the border, in whole pixels, by looking at all."""
    (x, y), (w, h) = placement.offset, placement.source
    inside = torch.zeros(1, 1, placement.target[1], placement.target[0])
    inside[..., y : y + h, x : x + w] = 1
    distance = torch.zeros_like(inside)
    while inside.any() and not inside.all():
        distance += inside
        # Beyond the target's edge there is no border: pooling pads with minus infinity, which erodes nothing.
        inside = 1 - F.max_pool2d(1 - inside, 3, stride=1, padding=1)
    return distance[0, 0, y : y + h, x : x + w]


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("feather", [0, 1, 5, 500])
@pytest.mark.parametrize(("colour_match", "blend"), [("linear", "feather"), ("steady", "gradient")])
def test_source_pixels_away_from_the_border_are_bit_equal(
    placement: Placement, feather: int, colour_match: str, blend: str
) -> None:
    source, (x, y), (w, h) = _source(placement), placement.offset, placement.source
    options = {"feather": feather, "colour_match": colour_match, "blend": blend}
    result = composite(source, _generated(placement), placement, **options)
    assert result.shape == (3, placement.target[1], placement.target[0], 3)
    assert result.min() >= 0 and result.max() <= 1
    own = result[:, y : y + h, x : x + w]
    far = _distance(placement) >= feather
    assert torch.equal(own[:, far], source[:, far])
    changed = (own != source).any(-1).any(0)
    if feather > 1:
        assert changed.any(), "near the border the source fades"


def test_the_feather_rises_from_the_border_only() -> None:
    placement = place((40, 40), pixels=(20, 0, 0, 0), canvas_size=56)
    result = composite(torch.ones(1, 40, 40, 3), torch.zeros(1, 56, 56, 3), placement, feather=6)[0, :, :, 0]
    row = result[0]
    assert (result == row).all(), "edges without a border stay hard"
    assert (row[:20] == 0).all() and (row[25:] == 1).all()
    assert (row[19:26].diff() > 0).all(), "it rises with every pixel"


@pytest.mark.parametrize("resampling", KERNELS)
@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("placement", PLACEMENTS[:4])
def test_generated_meets_the_source_in_place(placement: Placement, factor: int, resampling: str) -> None:
    """A gradient over the target, drawn on the canvas, must go on in the source without a step or a shift."""
    (x, y), (w, h), (tw, th) = placement.offset, placement.source, placement.target
    sx, sy, sw, sh = placement.canvas_source

    def gradient(columns: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        blue = torch.zeros(len(rows), len(columns))
        red, green = columns / 200 + 0.3 + blue, rows.unsqueeze(1) / 200 + 0.3 + blue
        return torch.stack([red, green, blue], dim=-1).expand(3, -1, -1, -1)

    source = gradient(torch.arange(w).float(), torch.arange(h).float())
    columns = ((torch.arange(placement.canvas[0] * factor) + 0.5) / factor - sx) * w / sw - 0.5
    rows = ((torch.arange(placement.canvas[1] * factor) + 0.5) / factor - sy) * h / sh - 0.5
    result = composite(source, gradient(columns, rows), placement, feather=0, resampling=resampling)
    expected = gradient(torch.arange(tw) - float(x), torch.arange(th) - float(y))
    # At the canvas's own edges the gradient ends half a canvas pixel early.
    edge = 4
    error = (result - expected).abs()[:, edge : th - edge, edge : tw - edge].max()
    assert error < (2e-2 if resampling == "lanczos" else 5e-3)


def test_a_canvas_of_the_target_s_size_comes_back_exactly() -> None:
    placement = place((32, 64), ratio="1:1", canvas_size=64)
    generated = _generated(placement)
    result = composite(_source(placement), generated, placement, feather=0)
    torch.testing.assert_close(result[:, :, :16], generated[:, :, :16], rtol=0, atol=1e-6)
    torch.testing.assert_close(result[:, :, 48:], generated[:, :, 48:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_resampling_row_sums_to_one(kernel: str) -> None:
    for start, step in itertools.product((-9.0, -0.3, 0.0, 2.5), (0.1, 1.0, 1.7, 6.0)):
        matrix = resampling_matrix(start, step, 23, 11, kernel)
        assert matrix.shape == (23, 11)
        torch.testing.assert_close(matrix.sum(1), torch.ones(23), rtol=0, atol=1e-6)
    assert torch.equal(resampling_matrix(0.0, 1.0, 11, 11, kernel).round(decimals=6), torch.eye(11))


def test_shrinking_does_not_alias() -> None:
    stripes = (torch.arange(120) % 2).float()
    small = resampling_matrix(2.5, 6.0, 20, 120, "lanczos") @ stripes
    assert (small[2:-2] - 0.5).abs().max() < 0.05


def _scene(placement: Placement, frames: int = FRAMES) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth source with some contrast, and its canvas."""
    coarse = _noise(frames, 3, 4, 5, seed=7) * 0.6 + 0.2
    size = (placement.source[1], placement.source[0])
    source = F.interpolate(coarse, size, mode="bilinear").movedim(1, -1).contiguous()
    return source, make_canvas(source, placement)[0]


def test_a_colour_cast_is_taken_off_frame_by_frame() -> None:
    placement = place((96, 54), ratio="1:1", canvas_size=64)
    source, canvas = _scene(placement, 4)
    gain = _noise(4, 1, 1, 3, seed=8) * 0.5 + 0.6
    shift = _noise(4, 1, 1, 3, seed=9) * 0.1
    # Some pixels that have nothing to do with the source, as generated pictures have.
    cast = canvas * gain + shift
    cast[:, 10:20, 20:40] = 1
    true = composite(source, canvas, placement, feather=0)
    plain = composite(source, cast, placement, feather=0)
    matched = composite(source, cast, placement, feather=0, colour_match="linear")
    bottom = placement.target[1] - placement.border[3]
    before = (plain - true)[:, bottom:].abs().mean()
    after = (matched - true)[:, bottom:].abs().mean()
    assert before > 0.05 and after < before / 8


def test_a_match_is_limited() -> None:
    placement = place((32, 32), pixels=(32, 0, 0, 0), canvas_size=64)
    black = composite(torch.ones(1, 32, 32, 3), torch.zeros(1, 64, 64, 3), placement, colour_match="linear", feather=0)
    torch.testing.assert_close(black[:, :, :32], torch.full((1, 32, 32, 3), 0.25), rtol=0, atol=1e-5)


def test_a_perfect_match_changes_nothing() -> None:
    placement = PLACEMENTS[0]
    source, canvas = _scene(placement)
    plain = composite(source, canvas, placement)
    torch.testing.assert_close(composite(source, canvas, placement, colour_match="linear"), plain, rtol=0, atol=2e-3)


def test_a_full_placement_gives_the_source() -> None:
    placement = place((64, 36), ratio="16:9", canvas_size=64)
    source = _source(placement)
    assert placement.is_full
    assert torch.equal(composite(source, _generated(placement), placement), source)


def test_a_compositor_takes_frames_of_the_size_that_it_was_made_for() -> None:
    placement = PLACEMENTS[0]
    source, twice = _source(placement), _generated(placement, factor=2)
    assert torch.equal(Compositor(placement, size=(64, 64))(source, twice), composite(source, twice, placement))
    with pytest.raises(ValueError, match="64x64, expected 32x32"):
        Compositor(placement)(source, twice)


def test_alpha_is_dropped() -> None:
    placement = PLACEMENTS[0]
    source, generated = _source(placement), _generated(placement)
    with_alpha = [torch.cat([frames, torch.zeros_like(frames[..., :1])], -1) for frames in (source, generated)]
    assert torch.equal(composite(*with_alpha, placement), composite(source, generated, placement))


def test_what_is_not_finite_stays_in_the_border() -> None:
    placement = PLACEMENTS[0]
    source, (x, y), (w, h) = _source(placement), placement.offset, placement.source
    result = composite(source, torch.full_like(_generated(placement), torch.nan), placement, feather=4)
    assert torch.equal(result[:, y + 4 : y + h - 4, x : x + w], source[:, 4:-4])


@pytest.mark.parametrize("broken", [0, 1])
def test_a_frame_that_is_not_finite_spoils_no_other(broken: int) -> None:
    placement = PLACEMENTS[0]
    source, generated = _source(placement), _generated(placement)
    generated[broken] = torch.nan
    result = composite(source, generated, placement, colour_match="steady", blend="gradient")
    assert [bool(torch.isfinite(frame).all()) for frame in result] == [i != broken for i in range(3)]


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("colour_match", COLOUR_MATCHES)
def test_it_does_not_matter_how_a_video_is_cut(monkeypatch: pytest.MonkeyPatch, colour_match: str, blend: str) -> None:
    placement = place((64, 36), ratio="1:1", canvas_size=32)
    monkeypatch.setattr("m3ddm_core.frames.CHUNK_PIXELS", 8 * 64 * 64)
    source, generated = _source(placement, 19), _generated(placement, frames=19)
    together = composite(source, generated, placement, colour_match=colour_match, blend=blend)
    compositor = Compositor(placement, colour_match=colour_match, blend=blend)
    parts = [compositor(source[part], generated[part]) for part in (slice(0, 1), slice(1, 14), slice(14, 19))]
    torch.testing.assert_close(torch.cat(parts), together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("colour_match", ["none", "linear"])
def test_these_look_at_one_frame_at_a_time(colour_match: str) -> None:
    placement = PLACEMENTS[0]
    source, generated = _source(placement), _generated(placement)
    together = composite(source, generated, placement, colour_match=colour_match)
    alone = Compositor(placement, colour_match=colour_match)(source[2:], generated[2:])
    torch.testing.assert_close(together[2:], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("factor", [1, 3])
def test_a_gradient_blend_takes_off_an_even_tint_everywhere(placement: Placement, factor: int) -> None:
    source = torch.full((3, placement.source[1], placement.source[0], 3), 0.6)
    tint = _noise(3, 1, 1, 3, seed=8) * 0.6 - 0.3
    generated = source.new_full((3, placement.canvas[1] * factor, placement.canvas[0] * factor, 3), 0.6) + tint
    result = composite(source, generated, placement, blend="gradient", feather=0)
    torch.testing.assert_close(result, torch.full_like(result, 0.6), rtol=0, atol=2e-3)


@pytest.mark.parametrize("feather", [0, 6])
def test_a_gradient_blend_leaves_no_step(feather: int) -> None:
    """Black beside a slow wave: the border goes on from the source, around the corners too."""
    placement = place((60, 40), pixels=(30, 20, 30, 20), size_multiple=1, canvas_size=40)
    columns, rows = torch.arange(60) / 12, torch.arange(40) / 9
    source = (torch.sin(columns)[None, :] * torch.cos(rows)[:, None] * 0.3 + 0.5)[None, ..., None].expand(1, 40, 60, 3)
    result = composite(source, torch.zeros(1, 40, 40, 3), placement, feather=feather, blend="gradient")
    for axis in (1, 2):
        assert result.diff(dim=axis).abs().max() < 1.1 * source.diff(dim=axis).abs().max()
    assert result.min() > 0.19, "the border takes the source's colours"


@pytest.mark.parametrize(
    ("source", "generated", "options", "message"),
    [
        ((3, 36, 63, 3), (3, 32, 32, 3), {}, r"63x36.*64x36"),
        ((4, 36, 64, 3), (3, 32, 32, 3), {}, r"3 generated frames for 4 source frames"),
        ((3, 36, 64, 1), (3, 32, 32, 3), {}, r"\(3, 36, 64, 1\)"),
        ((3, 36, 64, 3), (2, 32, 32, 3), {}, r"2 generated frames.*3"),
        ((3, 36, 64, 3), (3, 18, 32, 3), {}, r"32x18.*32x32.*crop"),
        ((3, 36, 64, 3), (3, 32, 32, 3), {"feather": -1}, "got feather=-1"),
        ((3, 36, 64, 3), (3, 32, 32, 3), {"colour_match": "auto"}, "auto"),
        ((3, 36, 64, 3), (3, 32, 32, 3), {"resampling": "box"}, "box"),
        ((3, 36, 64, 3), (3, 32, 32, 3), {"blend": "mix"}, "got the blend 'mix', expected .*feather, gradient"),
    ],
)
def test_what_does_not_belong_together_is_named(source: tuple, generated: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        composite(torch.zeros(source), torch.zeros(generated), PLACEMENTS[0], **options)


def test_an_upscaler_may_round_each_side_for_itself() -> None:
    placement = place((64, 36), ratio="4:3", canvas_size=64, canvas_shape="target")
    assert placement.canvas == (64, 48)
    assert composite(torch.zeros(1, 36, 64, 3), torch.zeros(1, 73, 97, 3), placement).shape == (1, 48, 64, 3)
