from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from m3ddm_core.canvas.build import make_canvas, make_guide_canvas, placement_mask
from m3ddm_core.canvas.fill import FILL_METHODS, fill_border
from m3ddm_core.canvas.placement import place

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def _noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("video", sorted(path.name for path in GOLDEN.glob("video_*.safetensors")))
def test_telea_is_the_release_s_to_the_bit(video: str) -> None:
    golden = load_file(GOLDEN / video)
    filled = fill_border(golden["padded"].float() / 255, golden["mask"].unsqueeze(0).float(), "telea")
    assert torch.equal(filled, golden["telea"].float() / 255)


@pytest.mark.parametrize("video", sorted(path.name for path in GOLDEN.glob("video_*.safetensors")))
def test_the_canvas_is_the_release_s_to_the_bit(video: str) -> None:
    golden = load_file(GOLDEN / video)
    frames = golden["frames"].float() / 255
    frames = frames[[0, len(frames) // 2, -1]]
    canvas, mask = make_canvas(frames, place((32, 64), ratio="1:1", canvas_size=64), fill="telea")
    assert torch.equal(mask[0], golden["mask"].float())
    assert torch.equal(canvas, golden["telea"].float() / 255)


@pytest.mark.parametrize("method", FILL_METHODS)
@pytest.mark.parametrize("masks", [1, 19])
def test_known_pixels_stay_and_unknown_ones_do_not_matter(
    method: str, masks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3ddm_core.frames.CHUNK_PIXELS", 8 * 21 * 34)
    frames = _noise(19, 21, 34, 3)
    mask = (_noise(masks, 21, 34) > 0.7).float()
    known = (mask < 0.5).unsqueeze(-1).expand_as(frames)
    filled = fill_border(frames, mask, method)
    assert filled.dtype == frames.dtype
    assert torch.equal(filled[known], frames[known])
    assert filled.min() >= 0 and filled.max() <= 1
    other = torch.where(known, frames, torch.nan if method == "smooth" else 1 - frames)
    assert torch.equal(fill_border(other, mask, method), filled), "what lies under the mask is not read"


def test_smooth_gives_a_frame_the_same_whatever_its_neighbours() -> None:
    frames, mask = _noise(20, 24, 40, 3), (_noise(20, 24, 40) > 0.4).float()
    together = fill_border(frames, mask)
    alone = torch.cat([fill_border(frames[i : i + 1], mask[i : i + 1]) for i in range(20)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_smooth_continues_the_rim_and_blends_afar() -> None:
    frames = torch.zeros(1, 64, 64, 3)
    frames[:, 16:48, :32, 0] = 1
    frames[:, 16:48, 32:, 2] = 1
    frames[:, 24:40, 8:56] = 0.5  # the interior must not show in the border
    mask = torch.ones(1, 64, 64)
    mask[:, 16:48] = 0
    filled = fill_border(frames, mask)[0]
    assert filled[15, 4, 0] > 0.95 and filled[15, 4, 2] < 0.05
    assert filled[15, 60, 2] > 0.95 and filled[48, 60, 2] > 0.95
    rim = (filled[15] - frames[0, 16]).abs()
    assert rim[[*range(24), *range(40, 64)]].max() < 0.1
    assert (filled[..., 1] < 0.02)[:16].all(), "no colour that the rim does not have"
    step = (filled[0, 1:] - filled[0, :-1]).abs().max()
    assert step < 0.1, "far from the rim colours change slowly"


def test_smooth_keeps_one_colour_one_colour() -> None:
    colour = torch.tensor([0.2, 0.6, 0.9])
    mask = torch.ones(1, 37, 50)
    mask[:, 20:23, 40:44] = 0
    filled = fill_border(colour.expand(2, 37, 50, 3), mask)
    torch.testing.assert_close(filled, colour.expand(2, 37, 50, 3), rtol=0, atol=1e-5)


def test_a_frame_without_a_known_pixel_becomes_grey() -> None:
    frames, mask = _noise(2, 16, 24, 3), torch.zeros(2, 16, 24)
    mask[1] = 1
    filled = fill_border(frames, mask)
    assert torch.equal(filled[0], frames[0])
    assert (filled[1] == 0.5).all()


def test_half_precision_stays_half_precision() -> None:
    frames, mask = _noise(1, 16, 24, 3).half(), torch.zeros(1, 16, 24)
    mask[:, :8] = 1
    filled = fill_border(frames, mask)
    assert filled.dtype == torch.float16 and torch.equal(filled[:, 8:], frames[:, 8:])


def test_telea_without_opencv_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"pip install opencv-python-headless.*smooth"):
        fill_border(_noise(1, 8, 8, 3), torch.ones(1, 8, 8), "telea")


@pytest.mark.parametrize(
    ("frames", "mask", "message"),
    [
        ((2, 8, 8), (1, 8, 8), r"\(2, 8, 8\)"),
        ((3, 8, 8, 3), (2, 8, 8), r"\(2, 8, 8\).*8x8"),
        ((3, 8, 16, 3), (1, 16, 8), "16x8"),
    ],
)
def test_shapes_that_do_not_belong_together_are_named(frames: tuple, mask: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill_border(torch.zeros(frames), torch.zeros(mask))


def test_an_unknown_fill_is_named() -> None:
    with pytest.raises(ValueError, match=r"blur.*smooth, telea"):
        fill_border(torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 8), "blur")


@pytest.mark.parametrize("channels", [3, 4])
def test_the_canvas_holds_the_resized_source(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3ddm_core.frames.CHUNK_PIXELS", 5 * 200 * 120)
    ramp = torch.linspace(0, 1, 200).view(1, 1, 200, 1).expand(18, 120, 200, channels)
    placed = place((200, 120), ratio="1:1", canvas_size=64)
    canvas, mask = make_canvas(ramp, placed)
    x, y, width, height = placed.canvas_source
    assert canvas.shape == (18, 64, 64, 3) and mask.shape == (1, 64, 64)
    assert torch.equal(mask, placement_mask(placed))
    assert mask.sum() == 64 * 64 - width * height and mask[0, y : y + height, x : x + width].sum() == 0
    assert all(torch.equal(frame, canvas[0]) for frame in canvas)
    inside = canvas[0, y : y + height, x : x + width]
    expected = (torch.arange(width) + 0.5) / width
    torch.testing.assert_close(inside[5, 2:-2, 0], expected[2:-2], rtol=0, atol=0.01)


def test_the_canvas_refuses_other_frames() -> None:
    placed = place((200, 120), ratio="1:1")
    with pytest.raises(ValueError, match=r"source frames of shape \(0, 120, 200, 3\)"):
        make_canvas(torch.zeros(0, 120, 200, 3), placed)
    with pytest.raises(ValueError, match=r"120x200.*200x120"):
        make_canvas(torch.zeros(2, 200, 120, 3), placed)


def test_guide_frames_lie_on_the_whole_target() -> None:
    placed = place((64, 32), ratio="4:3", canvas_size=64)
    x, y, width, height = placed.canvas_target
    guide = _noise(1, height, width, 3)
    canvas = make_guide_canvas(guide, placed)
    assert torch.equal(canvas[:, y : y + height, x : x + width], guide)
    assert height < 64 and canvas[:, :y].min() > 0.1, "what lies beyond the target is filled"
