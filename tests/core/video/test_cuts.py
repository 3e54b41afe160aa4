"""Scene cuts: found where two scenes meet, and not where a camera whips round, light flashes or pictures fade."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.video.cuts import SHORTEST, find_cuts, scene_lengths, thumbnails_of
from tests.helpers.panned_worlds import camera, shot, world

THRESHOLD = 0.25


def cuts_of(frames: torch.Tensor) -> list[int]:
    return find_cuts(thumbnails_of(frames), THRESHOLD)


@pytest.mark.parametrize("speeds", [(0, 0), (1, 3), (6, 0), (0, 10), (12, 12)])
@pytest.mark.parametrize("seed", range(5))
def test_two_scenes(seed, speeds):
    frames = torch.cat([shot(2 * seed, 20, speeds[0]), shot(2 * seed + 1, 25, speeds[1])])
    assert cuts_of(frames) == [20]


def test_many_scenes():
    frames = torch.cat([shot(seed, length, 2) for seed, length in enumerate((12, 30, 9, 40))])
    assert cuts_of(frames) == [12, 42, 51]


@pytest.mark.parametrize("speed", [0, 1, 4, 16, 40])
def test_a_pan_is_no_cut(speed):
    assert cuts_of(shot(3, 40, speed)) == []


@pytest.mark.parametrize("speed", [10, 30, 60])
@pytest.mark.parametrize("seed", range(4))
def test_a_whip_from_rest_to_rest_is_no_cut(seed, speed):
    path = [0] * 15 + [speed * step for step in range(1, 7)] + [6 * speed] * 15
    assert cuts_of(camera(world(seed), path)) == []


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("light", [0.3, 0.8, -0.8])
def test_a_flash_is_no_cut(length, light):
    frames = shot(4, 40, 2)
    frames[15 : 15 + length] = (frames[15 : 15 + length] + light).clamp(0, 1)
    assert cuts_of(frames) == []


def test_something_passing_by_is_no_cut():
    frames = shot(5, 40, 1)
    frames[20:24] = shot(6, 4)
    assert cuts_of(frames) == []


def test_fades_and_dissolves_are_no_cuts():
    share = torch.linspace(0, 1, 24)[:, None, None, None]
    one, other = shot(7, 24), shot(8, 24)
    assert cuts_of(torch.cat([shot(7, 10), one.lerp(other, share), shot(8, 10)])) == []
    assert cuts_of(one * (1 - share)) == []


def test_noise_on_a_plain_picture_is_no_cut():
    draw = torch.Generator().manual_seed(0)
    assert cuts_of((0.5 + 0.05 * torch.randn(30, 72, 128, 3, generator=draw)).clamp(0, 1)) == []


def test_plain_cards_of_different_colours():
    cards = torch.tensor([[0.1, 0.1, 0.1], [0.9, 0.8, 0.2], [0.1, 0.3, 0.9]])
    assert cuts_of(cards.repeat_interleave(10, 0)[:, None, None].expand(30, 72, 128, 3)) == [10, 20]


@pytest.mark.parametrize("length", [1, SHORTEST - 1])
def test_no_scene_is_shorter_than_the_shortest(length):
    assert cuts_of(torch.cat([shot(0, length), shot(1, 30)])) == []
    assert cuts_of(torch.cat([shot(0, 30), shot(1, length)])) == []


@pytest.mark.parametrize("frames", [1, 2, 15])
def test_short_videos_have_no_cut(frames):
    assert cuts_of(shot(0, frames, 50)) == []


def test_the_threshold_says_how_much_is_a_cut():
    thumbnails = thumbnails_of(torch.cat([shot(0, 20), shot(1, 20)]))
    assert find_cuts(thumbnails, 0.0) == [20] and find_cuts(thumbnails, 1.0) == []
    with pytest.raises(ValueError, match=r"threshold of 1\.5"):
        find_cuts(thumbnails, 1.5)


def test_scenes_between_cuts():
    assert scene_lengths(50, [12, 42]) == [12, 30, 8]
    assert scene_lengths(7, []) == [7]


def test_thumbnails_do_not_depend_on_how_many_frames_are_looked_at_at_once(monkeypatch):
    frames = shot(0, 5)
    whole = thumbnails_of(frames)
    assert whole.shape == (5, 36, 64, 3) and whole.dtype == torch.uint8
    monkeypatch.setattr("m3ddm_core.frames.CHUNK_PIXELS", 2 * frames[0, ..., 0].numel())
    assert torch.equal(thumbnails_of(frames), whole)
