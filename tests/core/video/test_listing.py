"""A video's scenes for people: the list, and the strip of small pictures."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av
import pytest
import torch

from m3ddm_core.video.cuts import find_cuts
from m3ddm_core.video.listing import (
    GAP,
    KEYFRAMES,
    PAPER,
    ListedScene,
    draw_strip,
    keyframes,
    list_scenes,
    png,
)
from m3ddm_core.video.timeline import Timeline
from tests.helpers.many_scenes import FIRSTS, LENGTH, many_scenes


def test_scenes_tell_when_they_begin_and_how_long_they_are():
    timeline = Timeline.even(100_000, Fraction(25))
    scenes = list_scenes(timeline, [48, 99_000])
    assert scenes[1] == ListedScene(48, 98_952, 1.92, 3958.08)
    assert [str(scene) for scene in scenes] == [
        "frame 0, at 0:00:00.00: 48 frames, 1.92 s",
        "frame 48, at 0:00:01.92: 98952 frames, 3958.08 s",
        "frame 99000, at 1:06:00.00: 1000 frames, 40.00 s",
    ]


@pytest.mark.parametrize("frames", [1, 3, 8, 500])
def test_keyframes_are_spread_over_the_scene(frames):
    found = keyframes(ListedScene(40, frames, 0.0, 1.0))
    assert len(found) == KEYFRAMES and found == sorted(found) and 40 <= found[0] <= found[-1] < 40 + frames
    if frames >= KEYFRAMES:
        gaps = {after - before for before, after in itertools.pairwise(found)}
        assert len(set(found)) == KEYFRAMES and max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(("size", "picture"), [((32, 48), (85, 128)), ((1920, 1080), (128, 72)), ((4000, 2), (128, 1))])
def test_the_strip_has_a_row_for_each_scene_and_nothing_of_another(size, picture):
    thumbnails = torch.zeros(90, 36, 64, 3, dtype=torch.uint8)
    colours = torch.tensor([[200, 0, 0], [0, 200, 0], [0, 0, 200]], dtype=torch.uint8)
    for number, colour in enumerate(colours):
        thumbnails[30 * number : 30 * number + 30] = colour
    strip = draw_strip(thumbnails, size, list_scenes(Timeline.even(90, Fraction(25)), [30, 60]))
    width, height = picture
    assert strip.dtype == torch.uint8 and len(strip) == 3 * (height + GAP)
    gutter = strip.shape[1] - KEYFRAMES * (width + GAP)
    for number, colour in enumerate(colours):
        row = strip[number * (height + GAP) : (number + 1) * (height + GAP) - GAP]
        for place in range(KEYFRAMES):
            left = gutter + place * (width + GAP)
            assert (row[:, left : left + width] == colour).all() and (row[:, left + width] == PAPER).all()
        assert height < 16 or row[:, :gutter].float().std() > 0, "it has a number"


def test_each_scene_has_its_own_number():
    scenes = [ListedScene(first, 1, 0.0, 1.0) for first in range(10)]
    strip = draw_strip(torch.zeros(10, 36, 64, 3, dtype=torch.uint8), (64, 36), scenes)
    rows = strip.unfold(0, 72 + GAP, 72 + GAP)
    assert len({row.numpy().tobytes() for row in rows}) == 10


def test_a_picture_is_written_as_it_is():
    picture = torch.randint(0, 256, (37, 61, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    decoder = av.CodecContext.create("png", "r")
    (frame,) = decoder.decode(av.Packet(png(picture)))
    assert torch.equal(torch.from_numpy(frame.to_ndarray(format="rgb24")), picture)


def test_the_scenes_of_the_helper_are_found():
    assert find_cuts(many_scenes().thumbnails, 0.25) == FIRSTS[1:] and LENGTH > 8
