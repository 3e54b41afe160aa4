"""From pixels to state: what is encoded, what the masks become, where guide frames go."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.canvas.build import make_canvas
from m3ddm_core.canvas.placement import place
from m3ddm_core.outpaint.encode import (
    GlobalFrames,
    add_guide_frames,
    encode_context,
    encode_global_frames,
    global_numbers,
    global_pictures,
)


def mean_colours(frames):
    """Stand-in VAE: the mean of each 8x8 block as three channels, and a fourth of ones."""
    means = torch.nn.functional.avg_pool2d(frames.movedim(-1, 1), 8)
    return torch.cat([means, torch.ones_like(means[:, :1])], dim=1)


@pytest.fixture
def video():
    return torch.rand((20, 32, 16, 3), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def prepared(video):
    placement = place((16, 32), ratio="1:1", canvas_size=64)
    canvas, mask = make_canvas(video, placement)
    return canvas, mask, encode_global_frames(video, mean_colours), placement


@pytest.fixture
def state(prepared):
    canvas, mask, global_frames, placement = prepared
    return encode_context(canvas, mask, global_frames, mean_colours, 25.0, placement)


def test_global_frames_are_spread_from_first_to_last(video):
    seen = []

    def encode(frames):
        seen.append(frames)
        return mean_colours(frames)

    video = torch.arange(31.0).view(31, 1, 1, 1).expand(31, 8, 12, 3) / 31
    result = encode_global_frames(video, encode, count=4)
    assert result.source_frames == 31 and result.latents.shape == (4, 4, 32, 32)
    assert seen[0].shape == (4, 256, 256, 3)
    torch.testing.assert_close(seen[0][:, 0, 0, 0] * 31, torch.tensor([0.0, 10, 20, 30]))


@pytest.mark.parametrize("frames", [1, 2, 5, 15, 16, 17])
def test_a_short_videos_frames_serve_more_than_once_and_are_encoded_once(video, frames):
    seen = []

    def encode(some):
        seen.append(some)
        return mean_colours(some)

    latents = encode_global_frames(video[:frames], encode).latents
    assert latents.shape == (16, 4, 32, 32) and sum(map(len, seen)) == min(frames, 16)
    for latent, number in zip(latents, global_numbers(frames), strict=True):
        assert torch.equal(latent, mean_colours(global_pictures(video[number : number + 1]))[0])


def test_the_state_knows_what_its_latents_look_like(state):
    """The stand-in's latents are the colours themselves."""
    torch.testing.assert_close(state.latent_rgb, torch.eye(5, 3), atol=0.01, rtol=0)


def test_context_blacks_out_what_the_mask_covers(prepared, state):
    canvas, mask, _, _ = prepared
    black = canvas * (mask < 0.5)[..., None]
    assert torch.equal(state.masked, mean_colours(black))
    assert torch.equal(state.start, mean_colours(canvas))
    assert torch.equal(state.latents, state.start)
    assert not state.blank[:, :3].any()
    assert torch.equal(state.masks[0], mask[:, ::8, ::8])
    assert state.masks.shape == (20, 1, 4, 4)


def test_the_mask_at_latent_size_is_the_top_left_pixel_of_each_block():
    mask = torch.zeros(1, 16, 16)
    mask[0, :9, :] = 1
    mask[0, 0, 8] = 0.4
    frames = torch.rand(1, 16, 16, 3)
    global_frames = encode_global_frames(frames, mean_colours)
    state = encode_context(frames, mask, global_frames, mean_colours, 25.0, None)
    assert state.masks[0, 0].tolist() == [[1, 0], [1, 1]]


def test_frames_without_a_masked_pixel_are_known(prepared):
    canvas, mask, global_frames, placement = prepared
    masks = mask.repeat(20, 1, 1)
    masks[[0, 7]] = 0
    state = encode_context(canvas, masks, global_frames, mean_colours, 25.0, placement)
    assert state.known == state.guides == {0, 7}
    assert not state.unknown_masks[[0, 7]].any() and state.unknown_masks[1].any()


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_frame_rates_are_refused(prepared, fps):
    canvas, mask, global_frames, placement = prepared
    with pytest.raises(ValueError, match=f"fps={fps}"):
        encode_context(canvas, mask, global_frames, mean_colours, fps, placement)


def test_guide_frames_are_put_where_the_target_lies(state):
    images = torch.rand((2, 64, 64, 3), generator=torch.Generator().manual_seed(1))
    guided = add_guide_frames(state, images, "0, -1", mean_colours)
    assert guided.known == guided.guides == {0, 19}
    small = torch.nn.functional.interpolate(images.movedim(-1, 1), (32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(guided.latents[[0, 19]], mean_colours(small.movedim(1, -1)))
    assert not state.known, "the state given is not changed"


def test_guide_frames_are_filled_as_the_canvas_was(video, monkeypatch):
    """What lies beyond a wide target, on a square canvas: the fill travels with the state."""
    grey = {"smooth": lambda frames, hole: frames * 0 + 0.25, "telea": lambda frames, hole: frames * 0 + 0.75}
    monkeypatch.setattr("m3ddm_core.canvas.fill.FILL_METHODS", grey)
    placement, global_frames = place((16, 32), ratio="2:1", canvas_size=64), encode_global_frames(video, mean_colours)
    assert placement.canvas_target == (0, 16, 64, 32)
    for fill, level in (("smooth", 0.25), ("telea", 0.75)):
        canvas, mask = make_canvas(video, placement, fill=fill)
        state = encode_context(canvas, mask, global_frames, mean_colours, 25.0, placement, fill)
        guided = add_guide_frames(state, torch.zeros(1, 32, 64, 3), "3", mean_colours).latents[3, :3]
        assert (guided[:, 2:6] == 0).all() and (guided[:, :2] == level).all() and (guided[:, 6:] == level).all()


def test_guide_frames_without_a_placement_have_the_canvas_shape():
    frames = torch.rand(3, 16, 24, 3)
    state = encode_context(
        frames, torch.ones(1, 16, 24), GlobalFrames(torch.zeros(1, 4, 2, 2), 3), mean_colours, 25.0, None
    )
    assert add_guide_frames(state, torch.rand(1, 32, 48, 3), "1", mean_colours).known == {1}
    with pytest.raises(ValueError, match="guide images of 24x48"):
        add_guide_frames(state, torch.rand(1, 48, 24, 3), "1", mean_colours)
