"""Frames on a path: where they are, what stays of them, what is named where it is wrong."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from m3ddm_core.canvas.motion_path import corners, parse_path
from m3ddm_core.canvas.move import move_frames


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2)) + 0.01


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("0: 0, 0; 48: 120, -10", {0: (0, 0), 48: (120, -10)}),
        (" 5 :-1.5,.25 ;\n\n -1: +3., 0 ;", {5: (Fraction(-3, 2), Fraction(1, 4)), 59: (3, 0)}),
        ("0:1,2\n30:4,5", {0: (1, 2), 30: (4, 5)}),
        ("100: 8, 8; -60: 0, 0", {100: (8, 8), 0: (0, 0)}),
        ("0\uff1a0\uff0c0\uff1b48\uff1a120\uff0c\uff0d10", {0: (0, 0), 48: (120, -10)}),
    ],
)
def test_paths_are_read(text: str, stops: dict) -> None:
    assert parse_path(text, 60) == stops


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without a stop"),
        (" ; ", "without a stop"),
        ("0: 0, 0; left: 3, 4", "'left: 3, 4'"),
        ("0: 5", "'0: 5'.*expected 'frame: x, y'"),
        ("0, 0, 0", "'0, 0, 0'"),
        ("1.5: 0, 0", "'1.5: 0, 0'"),
        ("0: 1, 2, 3", "'0: 1, 2, 3'"),
        ("0: 0, 0 30: 4, 4", "'0: 0, 0 30: 4, 4'"),
        ("-61: 0, 0", "frame -61.*60 frames"),
        ("59: 0, 0; -1: 1, 1", "frame 59 twice"),
        ("0: 100001, 0", "100000 pixels at most"),
        ("0: ١, 0", "'0: ١, 0'"),
    ],
)
def test_what_is_no_path_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_path(text, 60)


def test_a_path_is_straight_from_stop_to_stop() -> None:
    found = corners(parse_path("2: 0, 10; 6: 8, 0; 10: 8, -3", 12), 12)
    assert found == [
        *[(0, 10)] * 3,
        *[(2, 8), (4, 5), (6, 3), (8, 0)],
        *[(8, -1), (8, -1), (8, -2), (8, -3)],
        (8, -3),
    ]
    assert corners({0: (Fraction(1, 2), Fraction(-1, 2))}, 2) == [(1, 0)] * 2


def test_the_order_of_stops_does_not_matter_and_a_video_may_end_on_the_way() -> None:
    one, other = (corners(parse_path(text, 5), 5) for text in ("0: 0, 0; 8: 16, 8", "8: 16, 8; 0: 0, 0"))
    assert one == other == [(2 * i, i) for i in range(5)]


@pytest.mark.parametrize("channels", [3, 4])
def test_every_pixel_stays_what_it_is(channels: int) -> None:
    frames, path = noise(4, 10, 16, channels), [(0, 0), (3, -2), (7, 1), (-2, 5)]
    moved, mask = move_frames(frames, path)
    assert moved.shape == (4, 17, 25, 3) and mask.shape == (4, 17, 25)
    for number, (x, y) in enumerate(path):
        own = slice(y + 2, y + 12), slice(x + 2, x + 18)
        assert torch.equal(moved[number][own], frames[number, ..., :3]) and not mask[number][own].any()
        assert mask[number].sum() == mask[number].numel() - 160
        assert torch.equal(moved[number] == 0, mask[number][..., None].expand(-1, -1, 3) == 1)


def test_what_leaves_the_frame_is_cropped() -> None:
    frames = noise(3, 10, 16, 3)
    moved, mask = move_frames(frames, [(-4, 3), (12, 0), (100, -100)], (20, 0))
    assert moved.shape == (3, 113, 20, 3), "a side of 0 holds the whole path, the other crops"
    assert torch.equal(moved[0, 103:, :12], frames[0, :, 4:]) and (moved[0, :, 12:] == 0).all()
    assert torch.equal(moved[1, 100:110, 12:], frames[1, :, :8])
    assert mask[2].min() == 1 and not moved[2].any()


def test_a_mask_moves_with_its_frame() -> None:
    frames, edge = noise(2, 10, 16, 3), torch.zeros(2, 10, 16)
    edge[0, :2], edge[1, :, 15] = 1, 0.25
    moved, mask = move_frames(frames, [(0, 0), (4, 0)], (0, 0), edge)
    plain = move_frames(frames, [(0, 0), (4, 0)])
    assert torch.equal(moved, plain[0])
    assert torch.equal(mask[0, :, :16], edge[0]) and torch.equal(mask[1, :, 4:], edge[1])
    for_all = move_frames(frames, [(0, 0), (4, 0)], (0, 0), edge[0])[1]
    assert torch.equal(for_all[1, :, 4:], edge[0])


@pytest.mark.parametrize(
    ("frames", "path", "size", "mask", "message"),
    [
        ((0, 10, 16, 3), [], (0, 0), None, "at least one frame"),
        ((2, 10, 16, 3), [(20, 0), (20, 5)], (20, 10), None, r"\(20, 0\) to \(20, 5\).*16x10.*20x10"),
        ((2, 10, 16, 3), [(0, 0)] * 2, (0, 0), (1, 16, 10), r"\(1, 16, 10\).*16x10"),
        ((3, 10, 16, 3), [(0, 0)] * 3, (0, 0), (2, 10, 16), r"\(2, 10, 16\) for 3 frames"),
    ],
)
def test_what_does_not_fit_is_named(frames: tuple, path: list, size: tuple, mask: tuple | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        move_frames(torch.zeros(frames), path, size, None if mask is None else torch.zeros(mask))
