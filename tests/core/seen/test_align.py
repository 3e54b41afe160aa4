"""Motions measured between frames of which they are known."""

from __future__ import annotations

import torch

from m3ddm_core.seen.align import Pairs, align
from m3ddm_core.seen.banded import REACH, Band
from m3ddm_core.seen.camera import find_stretches
from m3ddm_core.seen.motions import Freedom, between, farthest, motion_of
from m3ddm_core.seen.pose_graph import chained, relaxed
from m3ddm_core.seen.pyramid import build_pyramid
from m3ddm_core.seen.trust import HOLDS
from tests.helpers.filmed import filmed, painted, pan

SOURCE = (64, 64)


def test_shift_zoom_and_roll_are_found_to_a_tenth_of_a_pixel():
    film = filmed(painted(1), [(200, 120, 1, 0), (203.4, 118.2, 1, 0), (200, 120, 1.06, 0), (201, 120, 1, 0.05)])
    pyramid = build_pyramid(film.source, SOURCE)
    found = align(pyramid, torch.zeros(3, dtype=torch.long), torch.tensor([1, 2, 3]), search=0.2)
    # The camera goes one way, what it films the other.
    truth = torch.stack(
        [
            motion_of(torch.tensor([-3.4 / 32, 1.8 / 32, 0, 0])),
            motion_of(torch.tensor([0, 0, -torch.log(torch.tensor(1.06)), 0])),
            motion_of(torch.tensor([0, 0, 0, -0.05])) @ motion_of(torch.tensor([-1 / 32, 0, 0, 0])),
        ]
    )
    assert farthest(found.motions, truth, pyramid.windows[0]).max() < 0.1
    assert found.explained.min() > 0.95 and found.overlap[0] < found.overlap[1] == 1


def test_what_moves_by_itself_and_light_that_changes_do_not_lead_astray():
    film = filmed(painted(2), [(200, 120, 1, 0), (202.5, 120, 1, 0)])
    frames = film.source.clone()
    frames[0, 20:40, 20:40], frames[1, 26:46, 14:34] = 0.9, 0.9
    frames[1] *= 0.85
    pyramid = build_pyramid(frames, SOURCE)
    found = align(pyramid, torch.tensor([0]), torch.tensor([1]), search=0.2)
    truth = motion_of(torch.tensor([-2.5 / 32, 0, 0, 0]))
    assert farthest(found.motions, truth[None], pyramid.windows[0]) < 0.15


def test_two_pictures_that_have_nothing_in_common_explain_little_of_each_other():
    frames = torch.cat([pan(1, 1, seed=3).source, pan(1, 1, seed=4).source])
    found = align(build_pyramid(frames, SOURCE), torch.tensor([0]), torch.tensor([1]), search=0.2)
    assert found.explained < HOLDS


def test_a_band_is_solved_as_the_whole_would_be():
    draw = torch.Generator().manual_seed(0)
    frames, count = 2 * REACH + 5, 2
    first = torch.randint(0, frames, (300,), generator=draw)
    second = torch.minimum(first + torch.randint(1, REACH + 1, (300,), generator=draw), torch.tensor(frames - 1))
    first = torch.minimum(first, second)
    own = torch.eye(2, dtype=torch.float64) + 0.1 * torch.rand(300, 2, 2, generator=draw, dtype=torch.float64)
    own = own @ own.mT
    right = torch.rand(300, 2, generator=draw, dtype=torch.float64)
    band, whole, side = (
        Band(frames, count),
        torch.zeros(frames, 2, frames, 2, dtype=torch.float64),
        torch.zeros(frames, 2),
    )
    every = torch.arange(frames)
    band.add(every, every, torch.eye(2, dtype=torch.float64).expand(frames, 2, 2))
    whole[every, :, every] += torch.eye(2, dtype=torch.float64)
    for i, j, block, pull in zip(first.tolist(), second.tolist(), own, right, strict=True):
        for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            whole[a, :, b] += sign * block
        side[i] -= pull
        side[j] += pull
    band.add(first, first, own)
    band.add(second, second, own)
    differ = first != second
    band.add(first[differ], second[differ], -own[differ])
    same = ~differ
    band.add(first[same], second[same], -2 * own[same])
    band.add_right(first, -right)
    band.add_right(second, right)
    whole = whole.reshape(2 * frames, 2 * frames)
    whole[10, 10] += 1e9
    whole[11, 11] += 1e9
    expected = torch.linalg.solve(whole, side.double().flatten()).view(frames, 2)
    torch.testing.assert_close(band.solve(held=5), expected, atol=1e-5, rtol=1e-4)


def test_a_path_is_relaxed_to_what_most_pairs_say():
    pyramid = build_pyramid(pan(1.3, 40).source, SOURCE)
    window, first = pyramid.windows[0], torch.arange(39)
    neighbours = align(pyramid, first, first + 1, search=0.2)
    wobble = 0.02 * torch.randn(39, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 1, 0.2, 0.2])
    neighbours.motions.copy_(neighbours.motions @ motion_of(wobble))
    start = torch.arange(0, 30)
    far = align(pyramid, start, start + 10, panned(10, 30), levels=2)
    far.motions[7] = motion_of(torch.tensor([0.1, 0, 0, 0]))
    pairs = Pairs.joined([neighbours, far])
    chain, path = chained(neighbours.motions), relaxed(chained(neighbours.motions), pairs, Freedom(), rounds=8)
    drift = [farthest(between(one, start, start + 10), panned(10, 30), window) for one in (chain, path)]
    assert drift[0].median() > 2 and drift[1].median() < 0.6 and drift[1].max() < 1.5


def panned(frames: int, count: int) -> torch.Tensor:
    return motion_of(torch.tensor([-1.3 * frames / 32, -0.1 * frames / 32, 0, 0]))[None].repeat(count, 1, 1)


def test_a_stretch_ends_at_a_cut_and_drifts_by_less_than_a_tenth_of_a_pixel():
    frames = torch.cat([pan(1.5, 20, seed=5).source, pan(-1.5, 20, seed=6).source])
    pyramid = build_pyramid(frames, SOURCE)
    stretches = find_stretches(pyramid)
    assert [(stretch.first, len(stretch)) for stretch in stretches] == [(0, 20), (20, 20)]
    apart = between(stretches[0].path, torch.tensor([0]), torch.tensor([16]))
    truth = motion_of(torch.tensor([-1.5 * 16 / 32, -0.1 * 16 / 32, 0, 0]))
    assert farthest(apart, truth[None], pyramid.windows[0]) < 0.1
    assert find_stretches(build_pyramid(frames[:3], SOURCE)) == []
