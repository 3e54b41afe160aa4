"""The user's own mask over a video that comes frame by frame: the same as over all of it at once, and never copied."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from m3ddm_core.canvas.build import make_canvas, make_start_canvas
from m3ddm_core.canvas.placement import Placement, place, with_canvas
from m3ddm_core.composite.compositor import composite
from m3ddm_core.outpaint.encode import encode_context, encode_global_frames
from m3ddm_core.video.finished import FinishedVideo
from m3ddm_core.video.refine import refine_scenes
from m3ddm_core.video.scenes import outpaint_scenes, split_scenes
from m3ddm_core.video.source import TensorSource
from tests.helpers.scenes_at_once import at_once

WIDTH, HEIGHT, FRAMES = 40, 64, 20
MASKED = range(6, 13)
BLENDING = {"feather": 2, "colour_match": "steady", "blend": "gradient"}
BORDERED = place((WIDTH, HEIGHT), ratio="1:1", canvas_size=64)
FULL = place((WIDTH, HEIGHT), pixels=(0, 0, 0, 0), canvas_size=64)
LENGTHS = [5, 4, 11]
"""Scenes of which the first has nothing under the moving mask, and the others meet in the midst of it."""


def block_colours(frames: torch.Tensor) -> torch.Tensor:
    """Stand-in VAE: the mean of each 8x8 block as three channels, and a fourth of ones."""
    means = torch.nn.functional.avg_pool2d(frames.movedim(-1, 1), 8)
    return torch.cat([means, torch.ones_like(means[:, :1])], dim=1)


def blocks_as_frames(latents: torch.Tensor) -> torch.Tensor:
    return latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)


def darker(number: int, state):
    """What is sampled: something that depends on the scene and on what of it is known."""
    unknown = state.unknown_masks
    return replace(state, latents=torch.where(unknown > 0, state.start * (0.5 + 0.1 * number), state.start))


def still() -> torch.Tensor:
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 5:15, 20:38] = 1
    return mask


def moving() -> torch.Tensor:
    mask = torch.zeros(FRAMES, HEIGHT, WIDTH)
    for number in MASKED:
        mask[number, 10:25, 2 * number : 2 * number + 12] = 1
    return mask


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that even small videos are worked on in many parts, which end in the middle of scenes."""
    monkeypatch.setattr("m3ddm_core.frames.CHUNK_PIXELS", 3 * 64 * 64)
    monkeypatch.setattr("m3ddm_core.frames.VAE_PIXELS", 5 * 64 * 64)


@pytest.fixture
def source() -> TensorSource:
    return TensorSource(torch.rand(FRAMES, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0)), Fraction(25))


@pytest.mark.parametrize("placement", [BORDERED, FULL], ids=["bordered", "full"])
@pytest.mark.parametrize("make_mask", [still, moving])
@pytest.mark.parametrize("lengths", [[FRAMES], LENGTHS], ids=["one scene", "three"])
def test_state_and_frames_are_those_of_the_clip_in_memory(source, placement: Placement, make_mask, lengths) -> None:
    mask, states = make_mask(), {}
    scenes = split_scenes(placement, lengths, mask)

    def outpaint(number: int, state):
        states[number] = state
        return darker(number, state)

    done = outpaint_scenes(source.frames(), scenes, block_colours, at_once(outpaint), 25.0)
    frames = torch.stack(list(FinishedVideo(source, done, blocks_as_frames, BLENDING).frames()))
    larger = refine_scenes(
        FinishedVideo(source, done, blocks_as_frames, BLENDING), 96, block_colours, at_once(outpaint)
    )
    start = 0
    for number, length in enumerate(lengths):
        part = slice(start, start + length)
        images = source.images[part]
        own_mask = mask if len(mask) == 1 else mask[part]
        start += length
        if placement.is_full and not own_mask.any():
            assert number not in states and done[number].latents is None is larger[number].latents
            assert torch.equal(frames[part], images)
            continue
        shown = encode_global_frames(images, block_colours, 16, own_mask)
        wider = with_canvas(placement, 96, "target")
        for where, canvas, scene in (
            (placement, make_canvas(images, placement, own_mask), done[number]),
            (wider, make_start_canvas(images, frames[part], wider, own_mask), larger[number]),
        ):
            expected = encode_context(*canvas, shown, block_colours, 25.0, where)
            assert scene.placement == where and torch.equal(scene.latents, darker(number, expected).latents)
            # The second pass has come last.
            if where is wider:
                for name in ("start", "masked", "masks", "blank", "latents", "global_latents"):
                    assert torch.equal(getattr(states[number], name), getattr(expected, name)), name
                assert states[number].known == expected.known
        generated = blocks_as_frames(done[number].latents)
        together = composite(images, generated, placement, source_mask=own_mask, **BLENDING)
        torch.testing.assert_close(frames[part], together, atol=1e-5, rtol=0)
        hidden = own_mask.expand(length, -1, -1) > 0
        (x, y), (width, height) = placement.offset, placement.source
        assert (frames[part, y : y + height, x : x + width][hidden] != images[hidden]).any(-1).all()


def test_what_is_not_masked_is_not_even_read(source) -> None:
    """Nothing is decoded, encoded or sampled but the scene with something under its mask, and what comes before it."""
    read, told, numbers = [], [], []

    def counted():
        for frame in source.frames():
            read.append(1)
            yield frame

    def outpaint(number: int, state):
        numbers.append((number, len(read)))
        return state

    mask = torch.zeros(FRAMES, HEIGHT, WIDTH)
    mask[6, 3, 3] = 1
    scenes = split_scenes(FULL, LENGTHS, mask)
    assert [scene.is_full for scene in scenes] == [True, False, True]
    outpaint_scenes(counted(), scenes, block_colours, at_once(outpaint), 25.0, on_frame=lambda: told.append(1))
    assert numbers == [(1, 9)] and (len(read), len(told)) == (9, 4)


def test_an_empty_mask_is_no_mask() -> None:
    for mask in (torch.zeros(1, HEIGHT, WIDTH), torch.full((FRAMES, HEIGHT, WIDTH), 0.49)):
        assert split_scenes(BORDERED, LENGTHS, mask) == split_scenes(BORDERED, LENGTHS)
        assert all(scene.is_full for scene in split_scenes(FULL, LENGTHS, mask))


class Largest(TorchDispatchMode):
    """The size in bytes of the largest memory that any operation makes, not counting what was there before."""

    def __init__(self, *known: torch.Tensor):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("count", [1, 40], ids=["still", "moving"])
@pytest.mark.parametrize("pixels", [(0, 0, 0, 0), (0, 0, 32, 0)], ids=["full", "bordered"])
def test_no_stack_of_masks_or_frames_is_made(monkeypatch, count: int, pixels: tuple[int, int, int, int]) -> None:
    """In two passes over 40 frames: not even a stack of a byte for each pixel of the longer scene."""
    monkeypatch.setattr("m3ddm_core.outpaint.encode.GLOBAL_FRAME_SIZE", 32)  # There are always as many of those.
    frames, (height, width) = 40, (96, 128)
    source = TensorSource(torch.rand(frames, height, width, 3), Fraction(25))
    mask = torch.zeros(count, height, width)
    mask[:, 8:24, 30:60] = 1
    placement = place((width, height), pixels=pixels, canvas_size=64)
    with Largest(source.images, mask) as largest:
        scenes = split_scenes(placement, [34, 6], mask)
        assert all(scene.mask.untyped_storage().data_ptr() == mask.untyped_storage().data_ptr() for scene in scenes)
        scenes = outpaint_scenes(source.frames(), scenes, block_colours, at_once(darker), 25.0)
        scenes = refine_scenes(FinishedVideo(source, scenes, blocks_as_frames, {}), 96, block_colours, at_once(darker))
        finished = list(map(len, FinishedVideo(source, scenes, blocks_as_frames, {}).frames()))
    assert finished == [height] * frames
    assert height * width < largest.bytes < 34 * height * width
    with largest:
        mask_of_scene = mask.expand(frames, -1, -1)[:34] > 0
    assert largest.bytes == mask_of_scene.numel(), "such a stack would be found"
