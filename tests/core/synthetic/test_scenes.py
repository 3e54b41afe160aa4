"""Synthetic scenes: the same from a seed, in range, and what they say of visibility held against the camera's path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from m3ddm_core.synthetic.camera import Motion, bounce
from m3ddm_core.synthetic.held_out import FRAMES, HELD_OUT, SPEEDS
from m3ddm_core.synthetic.scenes import KNOWN, NEVER, SEEN, Scene, make_scene
from m3ddm_core.synthetic.worlds import KINDS

SIZE = (64, 48)
MOVING = Motion(speed=0.02, travel=1.5, zoom=0.15, shake=0.004)
PANNING = Motion(speed=0.05, travel=2.0, zoom=0.0, shake=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_pictures_and_come_from_the_seed_alone(kind: str) -> None:
    times = np.arange(16)
    frames = make_scene(3, SIZE, 16, MOVING, kind=kind).render(times)
    assert frames.shape == (16, 48, 64, 3) and frames.dtype == torch.float32
    assert frames.min() >= 0 and frames.max() <= 1
    assert frames.std(dim=(1, 2)).mean() > 0.02, "there is something to see"
    assert (frames[0] - frames[-1]).abs().mean() > 0.005, "the camera moves"
    torch.testing.assert_close(make_scene(3, SIZE, 16, MOVING, kind=kind).render(times), frames, rtol=0, atol=0)
    assert (make_scene(4, SIZE, 16, MOVING, kind=kind).render(times) - frames).abs().mean() > 0.01


def test_a_frame_does_not_depend_on_what_is_asked_beside_it() -> None:
    scene = make_scene(5, SIZE, 32, MOVING)
    torch.testing.assert_close(scene.render(np.arange(32))[[3, 17]], scene.render(np.array([3, 17])), rtol=0, atol=1e-6)


def test_nothing_moves_before_a_still_camera() -> None:
    frames = make_scene(6, SIZE, 16, Motion(0.0, 1.0, 0.0, 0.0), sprites=0).render(np.arange(16))
    torch.testing.assert_close(frames, frames[:1].expand_as(frames), rtol=0, atol=1e-6)


def test_a_camera_bounces_between_its_ends() -> None:
    way = bounce(np.linspace(0, 40, 4001), 10.0)
    assert way.min() == pytest.approx(-5) and way.max() == pytest.approx(5)
    assert way[1000] == pytest.approx(5) and way[2000] == pytest.approx(-5)
    assert np.abs(np.diff(way)).max() < 1.4 * 0.01


def test_visibility_is_what_the_cameras_path_says() -> None:
    """One flat sheet and a pure pan: a point is seen where some frame has it between the window's edges."""
    scene = make_scene(7, SIZE, 16, PANNING, kind="wall", sprites=0)
    times = np.arange(16)
    x, y, wide, high = window = (20, 0, 24, 48)
    found = scene.visibility(times, window, times).numpy()
    positions = scene.camera.at(times)[0]
    columns, rows = np.arange(64), np.arange(48)
    right, wrong = 0, 0
    for t in times:
        expected = np.zeros((48, 64), dtype=bool)
        for s in times:
            dx, dy = positions[t] - positions[s]
            inside_x = (columns + dx >= x - 0.5) & (columns + dx < x + wide - 0.5)
            inside_y = (rows + dy >= y - 0.5) & (rows + dy < y + high - 0.5)
            expected |= inside_x[None, :] & inside_y[:, None]
        known = np.zeros_like(expected)
        known[y : y + high, x : x + wide] = True
        assert (found[t][known] == KNOWN).all() and not (found[t][~known] == KNOWN).any()
        agreed = (found[t] == SEEN)[~known] == expected[~known]
        right, wrong = right + agreed.sum(), wrong + (~agreed).sum()
    assert wrong < 0.04 * right, "only the edge of what was seen may differ, by a texel"
    assert (found == SEEN).any() and (found == NEVER).any()


def test_what_is_seen_can_be_found_in_another_frame() -> None:
    """With all layers and sprites: colours of SEEN pixels come back, brought over through the layer they show."""
    scene = make_scene((9, 1), (96, 96), 24, MOVING, kind="landscape", sprites=2)
    times, window = np.arange(24), (24, 0, 48, 96)
    found = scene.visibility(times, window, times)
    still = make_scene((9, 1), (96, 96), 24, Motion(0, 1, 0, 0), kind="landscape", sprites=0)
    assert not (still.visibility(times, window, times) == SEEN).any(), "nothing new comes in before a still camera"
    assert 0.05 < (found == SEEN).float().mean() < 0.5
    more = scene.visibility(times, (16, 0, 64, 96), times)
    assert (more == SEEN)[found == SEEN].float().mean() + (more == KNOWN)[found == SEEN].float().mean() > 0.999


def test_sprites_leave_and_come_back() -> None:
    still = Motion(0, 1, 0, 0)
    frames, background = (
        make_scene(11, SIZE, 128, still, kind="wall", sprites=sprites).render(np.arange(128)) for sprites in (1, 0)
    )
    there = ((frames - background).abs().amax(dim=-1) > 0.02).flatten(1).any(dim=1)
    comings = (there[1:] & ~there[:-1]).sum()
    assert there.any() and not there.all() and comings >= 1


@pytest.mark.parametrize("sprites", [0, 3])
def test_a_layer_of_all_frames_is_sampled_in_one_call_and_a_sprite_where_it_is(
    sprites: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes clips quick, counted: training renders them while it waits."""
    frames, sampled = 16, []
    sample = Scene._sample
    monkeypatch.setattr(
        Scene, "_sample", lambda *given: sampled.append((given[1].path, len(given[2]), given[3])) or sample(*given)
    )
    scene = make_scene(12, (256, 256), 60, MOVING, sprites=sprites)
    scene.render(np.arange(0, 3 * frames, 3))
    whole = [count for path, count, _ in sampled if path is None]
    assert whole == [frames] * sum(layer.path is None for layer in scene.layers)
    boxes = [(x1 - x0) * (y1 - y0) for path, _, (x0, y0, x1, y1) in sampled if path is not None]
    assert len(boxes) <= sprites * frames and all(area < 256 * 256 / 2 for area in boxes)


@pytest.mark.parametrize("wrong", [{"kind": "sea"}, {"detail": 2.0}, {"sprites": -1}])
def test_values_out_of_range_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        make_scene(0, SIZE, 16, MOVING, **wrong)


def test_the_held_out_list_is_fixed() -> None:
    assert len(HELD_OUT) == len(SPEEDS) * len(KINDS) * 2 == len({clip.name for clip in HELD_OUT})
    assert HELD_OUT[0].name == "000-wall-still-horizontal" and HELD_OUT[-1].name == "039-room-fast-vertical"
    scene = HELD_OUT[25].scene(SIZE)
    assert scene.frames == FRAMES
    # The world's numbers and not only its list are fixed: a change of the painters would show here.
    frame = scene.render(np.array([0]))
    assert frame.mean().item() == pytest.approx(HELD_OUT_MEAN, abs=1e-4)


HELD_OUT_MEAN = 0.567022
