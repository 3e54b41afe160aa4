"""Scenes from frames that come one by one: the same state as from all of them at once; and finished frames."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from m3ddm_core.canvas.build import make_canvas
from m3ddm_core.canvas.placement import place
from m3ddm_core.composite.compositor import composite
from m3ddm_core.outpaint.encode import encode_context, encode_global_frames
from m3ddm_core.video.finished import FinishedVideo
from m3ddm_core.video.refine import refine_scenes
from m3ddm_core.video.scenes import outpaint_scenes, split_scenes
from m3ddm_core.video.source import TensorSource
from tests.helpers.scenes_at_once import at_once

RATE = Fraction(25)
BLENDING = {"feather": 2, "colour_match": "linear", "resampling": "bicubic"}


def block_colours(frames):
    """Stand-in VAE: the mean of each 8x8 block as three channels, and a fourth of ones."""
    means = torch.nn.functional.avg_pool2d(frames.movedim(-1, 1), 8)
    return torch.cat([means, torch.ones_like(means[:, :1])], dim=1)


def blocks_as_frames(latents):
    return latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that even small videos are worked on in many parts, which end in the middle of scenes."""
    monkeypatch.setattr("m3ddm_core.frames.CHUNK_PIXELS", 3 * 64 * 64)
    monkeypatch.setattr("m3ddm_core.frames.VAE_PIXELS", 5 * 64 * 64)


@pytest.fixture
def source():
    sound = torch.arange(2 * 6400.0).view(2, 6400)
    return TensorSource(noise(20, 48, 32, 3), RATE, sound, 8000)


@pytest.fixture
def placement(source):
    return place(source.info.size, ratio="1:1", canvas_size=64)


def outpainted(source, placement, lengths, outpaint=lambda number, state: state, **more):
    scenes = split_scenes(placement, lengths)
    scenes = outpaint_scenes(source.frames(), scenes, block_colours, at_once(outpaint), 25.0, **more)
    return FinishedVideo(source, scenes, blocks_as_frames, BLENDING)


@pytest.mark.parametrize("lengths", [[20], [1, 7, 12]])
def test_each_scene_is_encoded_as_a_video_of_its_own(source, placement, lengths):
    states = []
    outpainted(source, placement, lengths, lambda number, state: states.append(state) or state)
    start = 0
    for state, length in zip(states, lengths, strict=True):
        frames = source.images[start : start + length]
        canvas, mask = make_canvas(frames, placement)
        shown = encode_global_frames(frames, block_colours)
        expected = encode_context(canvas, mask, shown, block_colours, 25.0, placement)
        for name in ("start", "masked", "masks", "blank", "latents", "global_latents"):
            assert torch.equal(getattr(state, name), getattr(expected, name)), name
        assert (state.fps, state.known, state.placement) == (25.0, frozenset(), placement)
        start += length


def test_scenes_are_filled_as_asked_in_both_passes(source, placement, monkeypatch):
    grey = {"smooth": lambda frames, hole: frames * 0 + 0.25, "telea": lambda frames, hole: frames * 0 + 0.75}
    monkeypatch.setattr("m3ddm_core.canvas.fill.FILL_METHODS", grey)
    states = []

    def outpaint(number, state):
        states.append(state)
        return state

    once = outpainted(source, placement, [9, 11], outpaint, fill="telea")
    refine_scenes(once, 48, block_colours, at_once(outpaint), fill="telea")
    assert [state.fill for state in states] == ["telea"] * 4
    border = states[0].masks.bool().expand(-1, 3, -1, -1)
    assert border.any() and (states[0].start[:, :3][border] == 0.75).all()


def test_frames_are_read_only_as_far_as_the_scene_goes(source, placement):
    read, seen = [], []

    def counted():
        for frame in source.frames():
            read.append(1)
            yield frame

    def outpaint(number, state):
        seen.append(len(read))
        return state

    outpaint_scenes(counted(), split_scenes(placement, [7, 13]), block_colours, at_once(outpaint), 25.0)
    assert seen == [7, 20]


def test_every_frame_is_told(source, placement):
    told = []
    outpainted(source, placement, [7, 13], on_frame=lambda: told.append(1))
    assert len(told) == 20


@pytest.mark.parametrize("lengths", [[20], [9, 11]])
def test_finished_frames_are_the_composite_of_each_scene(source, placement, lengths):
    video = outpainted(source, placement, lengths)
    frames = torch.stack(list(video.frames()))
    start = 0
    for length in lengths:
        part = source.images[start : start + length]
        generated = blocks_as_frames(block_colours(make_canvas(part, placement)[0]))
        expected = composite(part, generated, placement, **BLENDING)
        torch.testing.assert_close(frames[start : start + length], expected, atol=1e-6, rtol=0)
        start += length
    assert video.info.size == placement.target == (48, 48)
    assert frames.shape == (20, 48, 48, 3)


@pytest.mark.parametrize(("first", "last"), [(0, 20), (0, 5), (5, 12), (8, 9), (10, 20), (15, 20)])
def test_a_part_has_the_same_frames_times_and_sound(source, placement, first, last):
    video = outpainted(source, placement, [9, 11])
    part = video.part(first, last)
    assert torch.equal(torch.stack(list(part.frames())), torch.stack(list(video.frames()))[first:last])
    assert len(part.info.timeline) == len(part.thumbnails) == last - first
    sound = torch.cat([torch.from_numpy(block) for block in part.sound.blocks()], dim=1)
    assert torch.equal(sound, torch.arange(2 * 6400.0).view(2, 6400)[:, 320 * first : 320 * last])


def test_nothing_to_outpaint_leaves_the_source_as_it_is(source):
    def never(*args):
        raise AssertionError("there is nothing to encode or to sample")

    placement = place(source.info.size, ratio="2:3")
    scenes = outpaint_scenes(source.frames(), split_scenes(placement, [20]), never, never, 25.0)
    video = FinishedVideo(source, scenes, never, BLENDING)
    assert torch.equal(torch.stack(list(video.frames())), source.images)


def test_an_outpainted_video_can_be_outpainted(source, placement):
    once = outpainted(source, placement, [20])
    twice = outpainted(once, place(once.info.size, ratio="2:1", canvas_size=64), [20])
    frames = torch.stack(list(twice.frames()))
    assert frames.shape == (20, 48, 96, 3)
    torch.testing.assert_close(frames[:, :, 26:70], torch.stack(list(once.frames()))[:, :, 2:46])
    assert twice.info.timeline == source.info.timeline


def test_a_video_without_frames_is_refused():
    with pytest.raises(ValueError, match="without frames"):
        TensorSource(torch.rand(0, 8, 8, 3), RATE)
