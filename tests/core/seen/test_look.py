"""What is claimed of a border, against what a wider lens would have filmed."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.canvas.placement import place, with_canvas
from m3ddm_core.seen.look import look_around
from m3ddm_core.seen.recipe import Seen
from m3ddm_core.seen.sources import sources_of
from m3ddm_core.video.seen import show_frames
from tests.helpers.filmed import SIDE, Film, filmed, painted, pan


def claimed(film: Film, seen: Seen) -> tuple[float, float, float]:
    """The share of the border that is claimed, PSNR there, and what of it is more than 25 levels off."""
    errors, pixels = [], 0
    for number, truth in enumerate(film.whole):
        picture = seen.on_target(number, lambda other: film.source[other])
        errors.append((picture.pixels - truth)[picture.known])
        pixels += 2 * SIDE * truth.shape[0]
    errors = torch.cat(errors)
    off = (errors.abs().mean(-1) > 25 / 255).float().mean().item()
    return len(errors) / pixels, -10 * errors.square().mean().log10().item(), off


def look(film: Film, cuts=()) -> Seen:
    return look_around(film.source, film.placement, cuts)


def crossed(film: Film) -> Film:
    """A film of 24 frames in front of which a red thing moves to the right, faster than the camera."""
    whole = film.whole.clone()
    for t in range(24):
        left = int(8 + 2.6 * t)
        whole[t, 16:48, left : left + 14] = torch.tensor([0.9, 0.2, 0.2])
    return Film(whole)


@pytest.fixture(scope="module")
def panned() -> tuple[Film, Seen]:
    film = pan(1.4)
    return film, look(film)


def test_a_pan_shows_the_border_on_both_sides(panned):
    film, seen = panned
    share, psnr, off = claimed(film, seen)
    assert share > 0.35 and psnr > 40 and off < 0.001
    # The camera moves to the right: what was left behind is on the left, at the end.
    last, _ = seen.maps(len(seen) - 1)
    assert (last[:, :SIDE] >= 0.5).float().mean() > 0.9 and (last[:, -SIDE:] >= 0.5).sum() == 0
    (scene,) = seen.scenes
    assert (scene.first, scene.last, scene.still) == (0, 24, False) and "dB" in scene.words
    assert abs(scene.share - seen.share) < 1e-6


def test_what_is_nearest_in_time_is_taken(panned):
    _, seen = panned
    _, ages = seen.maps(23)
    column = ages[32, :SIDE]
    assert column[-2] <= 4 and (column[:-1] >= column[1:]).float().mean() > 0.7 and column[0] <= 16


def test_maps_of_all_frames_are_those_of_each_on_the_canvas(panned):
    film, _ = panned
    square = with_canvas(film.placement, 96, "square")
    seen = look_around(film.source, square)
    confidence, ages = seen.confidence_on_canvas(), seen.ages_on_canvas()
    assert confidence.shape == ages.shape == (24, 96, 96) and ages.dtype == torch.int8
    for number in (0, 12, 23):
        picture = seen.on_canvas(number, film.source.__getitem__)
        assert torch.equal(confidence[number], picture.confidence)
        assert torch.equal(confidence[number, 16:80], seen.maps(number)[0])
        assert torch.equal(ages[number, 16:80], seen.maps(number)[1])
    assert not confidence[:, :16].any() and not confidence[:, 80:].any()


def test_the_report_says_in_words_what_was_found(panned):
    film, seen = panned
    head, scene = seen.report().splitlines()
    share = f"{seen.share:.0%} of the border"
    assert head.startswith(f"{share} of 24 frames was filmed in other frames, half of that at most ")
    assert scene.startswith(f"Frames 0 to 23: {share} seen elsewhere; checked on ") and scene.endswith(".")
    short = look_around(film.source[:5], film.placement, [3])
    assert short.report().splitlines()[0] == "0% of the border of 5 frames was filmed in other frames."
    assert short.report().splitlines()[1].endswith("too short to look around in.")


def test_what_the_first_and_the_last_frames_alone_have_in_view_is_found_there(panned):
    _, seen = panned
    # Four frames after the first one its left edge has left the picture for good: two or three frames show it, in no
    # two of which more than three frames apart.
    inner = slice(4, -4)
    confidence, ages = seen.maps(4)
    beside = slice(SIDE - 4, SIDE - 1)
    assert (confidence[inner, beside] >= 0.5).all() and ages[inner, beside].max() <= 4
    confidence, _ = seen.maps(19)
    assert (confidence[inner, -SIDE + 1 : -SIDE + 4] >= 0.5).all()


def test_what_may_be_covered_is_started_from_and_not_laid():
    film = crossed(pan(1.4, seed=5))
    seen = look(film)
    shown, known = show_frames(seen, film.source), show_frames(seen, film.source, known=True)
    assert not (known.where & ~shown.where).any()
    likely = shown.where & ~known.where
    assert 0.02 < likely.float().mean() < 0.4
    behind = pan(1.4, seed=5).whole
    assert (shown.pictures - behind).abs().mean(-1)[likely].median() < 2 / 255


def test_zoom_and_roll_are_followed():
    film = filmed(painted(3), [(220, 120, 1.0 - 0.012 * t, 0.004 * t) for t in range(24)])
    share, psnr, off = claimed(film, look(film))
    assert share > 0.1 and psnr > 32 and off < 0.01


def test_a_still_camera_claims_nothing_and_is_found_still():
    film = filmed(painted(4), [(200, 120, 1, 0)] * 20)
    noisy = Film((film.whole + 0.01 * torch.randn(film.whole.shape, generator=torch.manual_seed(0))).clamp(0, 1))
    moving = noisy.whole.clone()
    for t in range(20):
        moving[t, 20:44, 8 + 3 * t : 28 + 3 * t] = 0.8
    for still in (film, noisy, Film(moving)):
        seen = look(still)
        assert seen.share == 0 and not seen.on_canvas(3, still.source.__getitem__).pixels.any()
    assert look(noisy).scenes[0].words == "the camera stands still"


def test_what_moves_in_front_is_not_taken_for_what_lies_behind():
    film = crossed(pan(1.4, seed=5))
    share, psnr, off = claimed(film, look(film))
    assert share > 0.1 and psnr > 28 and off < 0.01


def test_a_cut_is_not_looked_across():
    one, two = pan(1.4, 20, seed=6), pan(-1.4, 20, seed=7)
    both = Film(torch.cat([one.whole, two.whole]))
    for cuts in ([20], []):
        seen = look(both, cuts)
        sources = torch.arange(40)[:, None] + seen.offsets
        taken = torch.stack([seen.known(number) for number in range(40)])
        assert (sources[:20][taken[:20]] < 20).all() and (sources[20:][taken[20:]] >= 20).all()
        share, psnr, _ = claimed(both, seen)
        assert share > 0.3 and psnr > 33


def test_a_fade_changes_the_light_and_not_what_is_seen():
    film = pan(1.4, seed=8)
    fading = Film(film.whole * torch.linspace(1, 0.6, 24)[:, None, None, None])
    share, psnr, off = claimed(fading, look(fading))
    assert share > 0.4 and psnr > 33 and off < 0.005


def test_a_sky_without_texture_tells_no_motion():
    world = painted(9).mean((1, 2), keepdim=True).expand(3, 240, 480) + torch.linspace(0, 0.05, 240)[:, None]
    film = filmed(world, [(120 + 1.4 * t, 120, 1, 0) for t in range(20)])
    seen = look(film)
    share, psnr, _ = claimed(film, seen) if seen.share else (0.0, 99.0, 0.0)
    assert share == 0 or psnr > 40


def test_a_parallax_that_the_motion_does_not_explain_is_not_claimed():
    near, far = pan(3.0, seed=10), pan(0.5, seed=11)
    whole = far.whole.clone()
    whole[:, 32:] = near.whole[:, 32:]
    seen = look(Film(whole))
    _, psnr, off = claimed(Film(whole), seen) if seen.share else (0.0, 99.0, 0.0)
    assert psnr > 27 and off < 0.03


def test_the_same_frames_give_the_same_and_a_scene_does_not_know_its_neighbours(panned):
    film, seen = panned
    again = look(film)
    for name in ("offsets", "confidence", "motions", "paths", "gains"):
        assert torch.equal(getattr(again, name), getattr(seen, name))
    before = Film(torch.cat([pan(1, 9, seed=12).whole, film.whole]))
    whole = look(before, [9])
    for name in ("offsets", "confidence", "motions", "paths", "gains"):
        assert torch.equal(getattr(whole, name)[9:], getattr(seen, name))


def test_a_recipe_decided_small_is_cooked_large():
    film = pan(2.0, seed=13)
    small = with_canvas(film.placement, 48, "target")
    seen = look_around(film.source, small)
    assert seen.offsets.shape[1] == 16 * 32
    share, psnr, off = claimed(film, seen)
    assert share > 0.3 and psnr > 32 and off < 0.01


def test_the_canvas_beyond_the_target_stays_unknown():
    film = pan(1.4, 12)
    square = place((64, 64), pixels=(16, 0, 16, 0), canvas_size=96)
    seen = look_around(film.source, square)
    picture = seen.on_canvas(11, lambda other: film.source[other])
    assert picture.known.shape == (96, 96) and picture.known[16:80].any()
    assert not picture.known[:16].any() and not picture.known[80:].any() and not picture.known[:, 16:80].any()


def test_a_long_scene_is_looked_at_in_parts_that_do_not_know_each_other(panned, monkeypatch):
    film, whole = panned
    monkeypatch.setattr("m3ddm_core.seen.look.HELD", 64 * 64 * 9)
    monkeypatch.setattr("m3ddm_core.seen.look.SHORTEST_PART", 4)
    seen = look(film)
    assert [(part.first, part.last) for part in seen.scenes] == [(0, 8), (8, 16), (16, 24)]
    for first, last in ((0, 8), (8, 16), (16, 24)):
        alone = look(Film(film.whole[first:last]))
        assert torch.equal(seen.offsets[first:last], alone.offsets) and alone.share > 0
    share, psnr, off = claimed(film, seen)
    assert 0.1 < share < whole.share and psnr > 38 and off < 0.002


def test_too_short_a_scene_and_no_border_say_so():
    film = pan(1.4, 3)
    assert "short" in look(film).scenes[0].words
    full = place((64, 64), pixels=(0, 0, 0, 0), canvas_size=64)
    assert "beyond" in look_around(film.source, full).scenes[0].words
    with pytest.raises(ValueError, match="96x64, expected 64x64"):
        look_around(film.whole, film.placement)


def test_sources_are_near_in_time_or_on_a_lattice():
    found = sources_of(50, 0, 200)
    assert found[:4] == [49, 51, 48, 52] and 50 not in found
    assert all(abs(s - 50) <= 8 or s % 4 == 0 for s in found) and all(abs(s - 50) <= 32 or s % 8 == 0 for s in found)
    assert max(found) == 144 and min(found) == 0 and sources_of(0, 0, 1) == []


def test_near_and_far_are_each_followed_by_themselves():
    near, far = pan(3.0, 32, seed=10), pan(1.0, 32, seed=11)
    whole = far.whole.clone()
    whole[:, 32:] = near.whole[:, 32:]
    film = Film(whole)
    seen = look(film)
    share, psnr, off = claimed(film, seen)
    assert share > 0.3 and psnr > 30 and off < 0.01, seen.report()
    assert seen.scenes[0].words.startswith("2 depths, the nearest first: checked on ")
    steps = seen.paths[16, :2, 0, 2] - seen.paths[15, :2, 0, 2]
    assert 2.6 < (steps[0] / steps[1]).item() < 3.4
    taken = torch.stack([seen.known(number) for number in range(32)])
    assert {0, 1} == set(seen.motions[taken].unique().tolist())
