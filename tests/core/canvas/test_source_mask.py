"""The user's own mask over the source: what of the canvas it makes unknown, and that none of it is shown."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.canvas.build import make_canvas, make_start_canvas, placement_mask
from m3ddm_core.canvas.placement import Placement, place
from m3ddm_core.canvas.source_mask import check_mask, matte_at, read_matte
from m3ddm_core.frames import resize
from m3ddm_core.outpaint.encode import encode_context, encode_global_frames

SIZE, FRAMES = (128, 72), 3
BORDERED = place(SIZE, ratio="1:1", canvas_size=64)
FULL = place(SIZE, ratio="16:9", canvas_size=64)
ODD = place((129, 71), ratio="16:9", canvas_size=96, canvas_shape="target", size_multiple=1)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def frames_of(placement: Placement) -> torch.Tensor:
    return noise(FRAMES, placement.source[1], placement.source[0], 3)


def mask_of(placement: Placement, *rectangles: tuple[int, int, int, int]) -> torch.Tensor:
    """A mask frame for each rectangle (x, y, width, height)."""
    mask = torch.zeros(len(rectangles), placement.source[1], placement.source[0])
    for frame, (x, y, width, height) in zip(mask, rectangles, strict=True):
        frame[y : y + height, x : x + width] = 1
    return mask


def encode(frames: torch.Tensor) -> torch.Tensor:
    """A VAE's shapes: the mean of each block, in four channels."""
    n, h, w, _ = frames.shape
    return frames.mean(-1).reshape(n, 1, h // 8, 8, w // 8, 8).mean((3, 5)).expand(n, 4, h // 8, w // 8)


@pytest.mark.parametrize("placement", [BORDERED, FULL, ODD])
@pytest.mark.parametrize("masks", [1, FRAMES])
def test_an_empty_mask_is_no_mask(placement: Placement, masks: int) -> None:
    frames, nothing = frames_of(placement), torch.full((masks, placement.source[1], placement.source[0]), 0.49)
    for plain, masked in zip(make_canvas(frames, placement), make_canvas(frames, placement, nothing), strict=True):
        assert torch.equal(plain, masked)
    pictures = noise(FRAMES, placement.target[1], placement.target[0], 3, seed=1)
    plain, masked = (
        make_start_canvas(frames, pictures, placement),
        make_start_canvas(frames, pictures, placement, nothing),
    )
    assert all(map(torch.equal, plain, masked))
    latents = [encode_global_frames(frames, encode, 2, mask).latents for mask in (None, nothing)]
    assert torch.equal(*latents)


@pytest.mark.parametrize("placement", [BORDERED, FULL, ODD])
def test_the_canvas_mask_is_border_and_whole_latents_of_the_mask(placement: Placement) -> None:
    _, mask = make_canvas(frames_of(placement), placement, mask_of(placement, (3, 2, 40, 20)))
    assert mask.shape == (1, placement.canvas[1], placement.canvas[0]) and set(mask.unique().tolist()) <= {0.0, 1.0}
    x, y, width, height = placement.canvas_source
    inside = mask[0, y : y + height, x : x + width]
    outside = mask[0].clone()
    outside[y : y + height, x : x + width] = 1
    assert outside.min() == 1, "what lies beyond the source is to be generated, in the target or not"
    assert inside[0, 0] == 1 and inside[-1, -1] == 0
    whole = torch.arange(placement.canvas[1])[:, None] // 8 * 8, torch.arange(placement.canvas[0]) // 8 * 8
    own = mask[0].bool() & (placement_mask(placement)[0] == 0)
    # All of a block is masked as its first pixel is, but for what the border alone makes of it.
    own[:y], own[y + height :], own[:, :x], own[:, x + width :] = False, False, False, False
    assert (mask[0].bool()[whole] | ~own).all() and own.any()


@pytest.mark.parametrize("placement", [BORDERED, FULL, ODD])
@pytest.mark.parametrize("corner", [(0, 0), (61, 33), (125, 68), (50, 1)])
def test_a_tiny_logo_is_masked_and_nothing_of_it_is_seen(placement: Placement, corner: tuple[int, int]) -> None:
    """Three pixels that are not even one of the canvas."""
    frames, mask = frames_of(placement), mask_of(placement, (*corner, 3, 3))
    marked = torch.where(mask[..., None] > 0, torch.tensor([50.0, -50.0, 50.0]), frames)
    canvas, hole = make_canvas(marked, placement, mask)
    other, same = make_canvas(torch.where(mask[..., None] > 0, -7.0, frames), placement, mask)
    assert torch.equal(canvas, other) and torch.equal(hole, same), "what is under the mask is not read"
    assert canvas.min() >= 0 and canvas.max() <= 1
    global_frames = encode_global_frames(marked, encode, 2, mask)
    assert global_frames.latents.min() >= 0 and global_frames.latents.max() <= 1
    state = encode_context(canvas, hole, encode_global_frames(frames, encode, 2), encode, 25, placement)
    x, y, width, height = placement.canvas_source
    row, column = (
        min(start + int((place + 1.5) * length / size), start + length - 1) // 8
        for start, place, length, size in (
            (y, corner[1], height, placement.source[1]),
            (x, corner[0], width, placement.source[0]),
        )
    )
    assert (state.masks[:, 0, row, column] == 1).all() and not state.known
    assert state.masks.sum() < state.masks.numel()


@pytest.mark.parametrize("placement", [BORDERED, FULL])
def test_a_mask_that_moves(placement: Placement) -> None:
    frames = frames_of(placement)
    mask = mask_of(placement, (0, 0, 30, 30), (90, 40, 30, 30), (0, 0, 0, 0))
    canvas, hole = make_canvas(frames, placement, mask)
    assert hole.shape == (FRAMES, *canvas.shape[1:3])
    for number in range(FRAMES):
        alone, alone_hole = make_canvas(frames, placement, mask[number : number + 1])
        assert torch.equal(canvas[number], alone[number]) and torch.equal(hole[number], alone_hole[0])
    known = encode_context(canvas, hole, encode_global_frames(frames, encode, 2), encode, 25, placement).known
    assert known == (frozenset({2}) if placement.is_full else frozenset()), "a frame with nothing to generate is known"


def test_the_pixels_beside_the_mask_are_those_of_the_source() -> None:
    frames = frames_of(BORDERED)
    plain, _ = make_canvas(frames, BORDERED)
    canvas, hole = make_canvas(frames, BORDERED, mask_of(BORDERED, (30, 10, 20, 20)))
    assert torch.equal(canvas[:, hole[0] == 0], plain[:, hole[0] == 0])
    assert not torch.equal(canvas, plain)


def test_all_masked_is_filled_with_grey() -> None:
    canvas, hole = make_canvas(frames_of(FULL), FULL, torch.ones(1, 72, 128))
    assert hole.min() == 1 and torch.equal(canvas, torch.full_like(canvas, 0.5))
    assert encode_global_frames(frames_of(FULL), encode, 2, torch.ones(72, 128)).latents.unique().tolist() == [0.5]


@pytest.mark.parametrize("placement", [BORDERED, FULL])
def test_a_second_pass_starts_under_the_mask_from_the_first_result(placement: Placement) -> None:
    frames, mask = frames_of(placement), mask_of(placement, (40, 20, 30, 20))
    first = torch.full((FRAMES, placement.target[1], placement.target[0], 3), 0.25)
    canvas, hole = make_start_canvas(frames, first, placement, mask)
    plain, _ = make_start_canvas(frames, first, placement)
    _, same = make_canvas(frames, placement, mask)
    assert torch.equal(hole, same) and hole.sum() > placement_mask(placement).sum()
    assert torch.equal(canvas[:, hole[0] == 0], plain[:, hole[0] == 0])
    torch.testing.assert_close(canvas[:, hole[0] == 1], torch.full_like(canvas[:, hole[0] == 1], 0.25))


def test_the_global_frames_are_masked_each_with_its_own() -> None:
    frames = torch.full((5, 72, 128, 3), 0.5)
    mask = torch.zeros(5, 72, 128)
    for number in range(5):
        mask[number, 10:30, 20 * number : 20 * number + 20] = 1
        frames[number, 10:30, 20 * number : 20 * number + 20] = 9
    latents = encode_global_frames(frames, encode, 3, mask).latents
    torch.testing.assert_close(latents, torch.full_like(latents, 0.5), rtol=0, atol=1e-4)
    longer = torch.cat([mask, torch.ones(4, 72, 128)])
    assert torch.equal(encode_global_frames(frames, encode, 3, longer).latents, latents)


def test_a_smaller_mask_holds_every_pixel_that_has_a_part_in_it() -> None:
    """Resize one bright pixel as frames are resized: nothing of it lies beside its mask."""
    for size, smaller in (((129, 71), (64, 35)), ((50, 90), (50, 31)), ((16, 16), (17, 15))):
        for place_x, place_y in ((0, 0), (size[0] // 2, 7), (size[0] - 1, size[1] - 1)):
            matte = torch.zeros(1, size[1], size[0], dtype=torch.bool)
            matte[0, place_y, place_x] = True
            picture = resize(matte[..., None].float(), smaller)[..., 0]
            found = matte_at(matte, smaller)
            assert found[picture != 0].all() and 1 <= found.sum() <= 16 < found.numel()


@pytest.mark.parametrize(
    ("shape", "frames", "source_frames", "message"),
    [
        ((1, 64, 64), 3, 3, r"source mask of 64x64, expected 128x72.*empty mask"),
        ((2, 72, 128), 3, 5, r"source mask of 2 frames for 3 source frames.*one for each"),
        ((4, 72, 128), 3, 5, r"source mask of 4 frames"),
        ((2, 72, 128), 3, None, r"source mask of 2 frames"),
        ((1, 1, 72, 128), 3, 3, r"shape \(1, 1, 72, 128\)"),
    ],
)
def test_a_mask_of_something_else_is_named(shape: tuple, frames: int, source_frames: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_mask(torch.ones(shape), SIZE, frames, source_frames)


def test_masks_of_all_source_frames_are_cut() -> None:
    mask = (noise(5, 72, 128) > 0.5).float()
    assert torch.equal(check_mask(mask, SIZE, 3, 5), mask[:3])
    assert check_mask(mask[0], SIZE, 3, 5).shape == (1, 72, 128)
    assert check_mask(None, SIZE, 3, 5) is None


def test_a_matte_is_the_mask_from_half_upwards() -> None:
    mask = noise(3, 72, 128)
    assert torch.equal(read_matte(mask, SIZE, 3), mask >= 0.5)
    assert read_matte(mask[:1] * 0.49, SIZE, 3) is None is read_matte(None, SIZE, 3)
    with pytest.raises(ValueError, match="source mask of 3 frames for 2"):
        read_matte(mask, SIZE, 2)
