"""Motions as matrices and as parameters, points at any size."""

from __future__ import annotations

import torch

from m3ddm_core.seen.motions import (
    AFFINE,
    PROJECTIVE,
    Freedom,
    Window,
    adjoint,
    bent,
    between,
    farthest,
    flow,
    motion_of,
    move,
    parameters_of,
    stay,
)

SMALL = torch.tensor([0.02, -0.01, 0.03, 0.02, -0.01, 0.015, 0.02, -0.01], dtype=torch.float64)


def test_points_do_not_depend_on_the_size_frames_are_looked_at():
    source = (192, 108)
    whole, small = Window(source, source), Window(source, (64, 36))
    # The middle of a block of three by three pixels is the middle of the pixel that it becomes.
    torch.testing.assert_close(whole.points(torch.tensor([1.0, 4.0])), small.points(torch.tensor([0.0, 1.0])))
    torch.testing.assert_close(small.pixels(small.grid())[5, 7], torch.tensor([7.0, 5.0]))
    assert whole.shows(whole.grid()).all() and not whole.shows(whole.grid() * 1.02).all()
    assert whole.shows(whole.grid(), margin=1).sum() == 190 * 106


def test_parameters_and_motions_are_one_the_other_s_way_back():
    torch.testing.assert_close(parameters_of(motion_of(SMALL), PROJECTIVE), SMALL, atol=1e-7, rtol=0)
    torch.testing.assert_close(motion_of(torch.zeros(4)), stay(1)[0])
    quarter = motion_of(torch.tensor([0, 0, 0, torch.pi / 2]))
    torch.testing.assert_close(move(quarter[None], torch.tensor([[1.0, 0.0]]))[0, 0], torch.tensor([0.0, 1.0]))


def test_a_motion_seen_from_elsewhere_is_its_adjoint():
    other = motion_of(torch.tensor([0.3, 0.1, 0.2, 0.4, 0.05, -0.1], dtype=torch.float64))
    turned = other @ motion_of(SMALL[:AFFINE]) @ torch.linalg.inv(other)
    seen_from_there = adjoint(other[None], Freedom(AFFINE))[0] @ SMALL[:AFFINE]
    torch.testing.assert_close(motion_of(seen_from_there), turned, atol=1e-9, rtol=0)


def test_points_flow_as_small_motions_move_them():
    points = Window((64, 48), (8, 6)).grid()
    for freedom in (Freedom(), Freedom(bend=0.4), Freedom(PROJECTIVE)):
        parameters = 1e-3 * torch.randn(freedom.count, generator=torch.manual_seed(0))
        moved = move(motion_of(parameters, freedom.bend)[None], points)[0] - points
        flowed = (flow(freedom, points) * parameters[:, None]).sum(-2)
        torch.testing.assert_close(moved, flowed, atol=2e-5, rtol=0)


def test_a_turn_bends_the_picture_as_its_lens_says():
    # Half of 90 degrees to the side: what was ahead comes to lie at the edge, and a lens of 90 degrees has the bend 1.
    angle = torch.tensor([[torch.pi / 4, 0, 0, 0]])
    points = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [-1.0, 0.5]])
    there = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.5**1.5]])
    found = move(motion_of(angle, 1.0), points)[0]
    torch.testing.assert_close(found, there, atol=1e-6, rtol=0)
    small = motion_of(torch.tensor([[0.1, 0.02, 0.01, 0.03]]))
    torch.testing.assert_close(bent(small, 0.0), small, atol=1e-6, rtol=0)


def test_between_two_frames_of_a_path():
    path = torch.stack([motion_of(SMALL * number) for number in range(4)])
    there = between(path, torch.tensor([0]), torch.tensor([3]))
    torch.testing.assert_close(there[0] @ torch.linalg.inv(path[0]), torch.linalg.inv(path[3]))
    window = Window((64, 64), (64, 64))
    shifted = motion_of(torch.tensor([3 / 32, 4 / 32, 0, 0]))
    assert abs(farthest(shifted[None], stay(1), window).item() - 5) < 1e-4
