"""The canvas of a second pass: the source where it lies, the first result around it, both at the new size."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.canvas.build import NEARLY_ALL, Shown, make_canvas, make_guide_canvas, make_start_canvas
from m3ddm_core.canvas.placement import place, with_canvas
from m3ddm_core.composite.compositor import composite
from m3ddm_core.frames import resize

SOURCE, FRAMES = (48, 60), 3


def pictures(size: tuple[int, int], count: int = FRAMES, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, size[1], size[0], channels, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", ["square", "target"])
@pytest.mark.parametrize(
    "where",
    [
        {"ratio": "16:9"},
        {"ratio": "1:2", "anchor": "top"},
        {"pixels": (10, 0, 33, 4)},
        {"ratio": "21:9", "offset": (7, 0)},
    ],
)
def test_another_canvas_is_the_one_that_would_have_been_made(where: dict, shape: str) -> None:
    first = place(SOURCE, canvas_size=64, **where)
    assert with_canvas(first, 96, shape) == place(SOURCE, canvas_size=96, canvas_shape=shape, **where)
    assert with_canvas(with_canvas(first, 96, shape), 64, "square") == first


@pytest.mark.parametrize(("size", "shape", "message"), [(100, "square", "100.*try 96"), (96, "round", "'round'")])
def test_a_canvas_that_is_none_is_named(size: int, shape: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_canvas(place(SOURCE, ratio="16:9"), size, shape)


@pytest.mark.parametrize("shape", ["square", "target"])
@pytest.mark.parametrize("scale", [1, 2.5])
def test_the_source_stays_and_the_first_result_is_around_it(shape: str, scale: float) -> None:
    placement = place(SOURCE, ratio="16:9", canvas_size=96, canvas_shape=shape)
    frames = pictures(SOURCE)
    first = pictures(tuple(round(side * scale) for side in placement.target), seed=1)
    canvas, mask = make_start_canvas(frames, first, placement)
    filled, same_mask = make_canvas(frames, placement)
    assert torch.equal(mask, same_mask) and canvas.shape == filled.shape and canvas.dtype == torch.float32

    known = mask[0] == 0
    assert torch.equal(canvas[:, known], filled[:, known])
    x, y, width, height = placement.canvas_target
    inside = torch.zeros_like(known)
    inside[y : y + height, x : x + width] = True
    around = resize(first, (width, height))
    border = inside & ~known
    assert border.any() and torch.equal(canvas[:, border], around[:, (border)[y : y + height, x : x + width]])


def test_what_is_beyond_the_target_goes_on_from_the_first_result() -> None:
    placement = place(SOURCE, ratio="16:9", canvas_size=96)
    canvas, _ = make_start_canvas(torch.zeros(FRAMES, 60, 48, 3), torch.full((FRAMES, 60, 106, 3), 0.5), placement)
    top = placement.canvas_target[1]
    assert top > 8
    torch.testing.assert_close(canvas[:, :top], torch.full_like(canvas[:, :top], 0.5))


def test_a_finished_video_is_found_again_on_the_larger_canvas() -> None:
    """From canvas to composite to canvas: a smooth picture comes through."""
    ramp = torch.linspace(0, 1, 106)[None, None, :, None].expand(FRAMES, 60, 106, 3)
    placement = place(SOURCE, ratio=(106, 60), canvas_size=64, size_multiple=1)
    assert placement.target == (106, 60)
    left = placement.offset[0]
    frames = ramp[:, :, left : left + 48]
    x, y, width, height = placement.canvas_target
    generated = torch.zeros(FRAMES, 64, 64, 3)
    generated[:, y : y + height, x : x + width] = resize(ramp.contiguous(), (width, height))
    finished = composite(frames, generated, placement, feather=0)
    canvas, _ = make_start_canvas(frames, finished, larger := with_canvas(placement, 104, "target"))
    x, y, width, height = larger.canvas_target
    inner = canvas[:, y + 4 : y + height - 4, x : x + width]
    assert (inner - torch.linspace(0, 1, width)[:, None]).abs().max() < 0.03


def test_alpha_is_dropped() -> None:
    placement = place(SOURCE, ratio="16:9", canvas_size=64)
    frames, first = pictures(SOURCE, channels=4), pictures(placement.target)
    canvas, _ = make_start_canvas(frames, first, placement)
    assert torch.equal(canvas, make_start_canvas(frames[..., :3], first, placement)[0])


def test_the_fill_is_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the canvas, and beyond the target on the canvases that start from whole frames."""
    grey = {"smooth": lambda frames, hole: frames * 0 + 0.3, "telea": lambda frames, hole: frames * 0 + 0.7}
    monkeypatch.setattr("m3ddm_core.canvas.fill.FILL_METHODS", grey)
    placement = place(SOURCE, ratio="16:9", canvas_size=64)
    frames, whole = pictures(SOURCE), pictures(placement.target)
    beyond = torch.ones(64, 64, dtype=torch.bool)
    x, y, width, height = placement.canvas_target
    beyond[y : y + height, x : x + width] = False
    assert beyond.any()
    for fill, level in (("smooth", 0.3), ("telea", 0.7)):
        canvas, mask = make_canvas(frames, placement, fill=fill)
        assert (canvas[:, mask[0] == 1] == level).all()
        assert (make_start_canvas(frames, whole, placement, fill=fill)[0][:, beyond] == level).all()
        assert (make_guide_canvas(whole, placement, fill)[:, beyond] == level).all()


@pytest.mark.parametrize(
    ("source", "first", "message"),
    [
        ((50, 60), (106, 60), "source frames of 50x60.*48x60"),
        (SOURCE, (64, 64), "pictures to start from of 64x64.*106x60"),
    ],
)
def test_what_does_not_belong_together_is_named(source: tuple, first: tuple, message: str) -> None:
    placement = place(SOURCE, ratio="16:9", canvas_size=64)
    with pytest.raises(ValueError, match=message):
        make_start_canvas(pictures(source), pictures(first), placement)
    with pytest.raises(ValueError, match=r"got 2 pictures.*expected 3"):
        make_start_canvas(pictures(SOURCE), pictures(placement.target, count=2), placement)


def test_what_is_wholly_shown_of_a_latent_is_known_where_that_is_asked_for() -> None:
    """Frame 0: all of a latent and all but a pixel of another; frame 1: nothing; frame 2: all but one latent of 100."""
    placement = place((80, 80), pixels=(80, 0, 0, 0), canvas_size=160, canvas_shape="target")
    frames, where = pictures((80, 80)), torch.zeros(3, 80, 160, dtype=torch.bool)
    where[0, 8:16, 16:32] = True
    where[0, 15, 31] = False
    where[2] = True
    where[2, 70, 70] = False
    shown = Shown(pictures((160, 80)), where, is_known=True)
    canvas, mask = make_canvas(frames, placement, shown=shown)
    expected = torch.zeros(3, 80, 160)
    expected[:2, :, :80] = 1
    expected[0, 8:16, 16:24] = 0
    assert NEARLY_ALL == 0.99 and torch.equal(mask, expected)
    usual, border = make_canvas(frames, placement, shown=shown._replace(is_known=False))
    assert torch.equal(canvas, usual) and torch.equal(border, expected[1:2])
