"""The Edge Mask in a host: its inputs become one placement, its outputs belong together."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

DEFAULTS = {
    "target": "1:1",
    "custom_ratio": "16:9",
    "left": 0,
    "top": 0,
    "right": 0,
    "bottom": 0,
    "anchor": "center",
    "offset_x": 0,
    "offset_y": 0,
    "canvas_size": 64,
    "canvas_shape": "square",
    "fill": "smooth",
    "size_multiple": 2,
    "first_frames": 0,
}


@pytest.fixture(autouse=True)
def previews(pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    return tmp_path


@pytest.fixture
def node(pack: Any) -> Any:
    return pack.nodes["M3DDM_EdgeMask"]


def _frames(count: int = 5, width: int = 128, height: int = 72, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(2))


def test_the_frozen_names(node: Any) -> None:
    schema = node.GET_SCHEMA()
    assert schema.node_id == "M3DDM_EdgeMask" and schema.category == "M3DDM" and schema.search_aliases
    later = {"result_size": "automatic", "result_pixels": 1080, "result_megapixels": 2.0}
    assert [entry.id for entry in schema.inputs] == ["images", *DEFAULTS, "source_mask", *later]
    defaults = {entry.id: entry.default for entry in schema.inputs if entry.id in {**DEFAULTS, **later}}
    assert defaults == DEFAULTS | later | {"target": "16:9", "canvas_size": 256}
    assert [entry.id for entry in schema.inputs if entry.optional] == ["source_mask", *later], "saved prompts lack them"
    assert [entry.display_name for entry in schema.outputs] == ["canvas", "mask", "placement", "frames"]
    assert [entry.io_type for entry in schema.outputs] == ["IMAGE", "MASK", "M3DDM_PLACEMENT", "IMAGE"]
    assert all(entry.tooltip for entry in (*schema.inputs, *schema.outputs))


def test_the_outputs_belong_together(node: Any) -> None:
    images = _frames()
    canvas, mask, placed, frames = node.execute(images, **DEFAULTS).args
    assert canvas.shape == (5, 64, 64, 3) and canvas.dtype == torch.float32
    assert mask.shape == (1, 64, 64) and set(mask.unique().tolist()) == {0.0, 1.0}
    placement = placed.placement
    assert placement.target == (128, 128) and placement.canvas_source == (0, 14, 64, 36)
    assert (placed.frames, placed.source_frames, placed.fill) == (5, 5, "smooth")
    assert (mask[0, 14:50] == 0).all() and (mask[0, :14] == 1).all()
    assert torch.equal(frames, images)


@pytest.mark.parametrize(
    ("changed", "border"),
    [
        ({"target": "16:9"}, (0, 0, 0, 0)),
        ({"target": "9:16"}, (0, 78, 0, 78)),
        ({"target": "21:9"}, (20, 0, 20, 0)),
        ({"target": "custom ratio", "custom_ratio": "2:1"}, (8, 0, 8, 0)),
        ({"target": "pixels", "left": 4, "bottom": 6, "anchor": "top"}, (4, 0, 0, 6)),
        ({"anchor": "top"}, (0, 0, 0, 56)),
        ({"anchor": "offset", "offset_y": 50}, (0, 50, 0, 6)),
        ({"offset_y": 50}, (0, 28, 0, 28)),
        ({"target": "16:9", "size_multiple": 16}, (0, 4, 0, 4)),
    ],
)
def test_the_inputs_say_where_the_border_is(node: Any, changed: dict, border: tuple) -> None:
    assert node.execute(_frames(), **{**DEFAULTS, **changed}).args[2].placement.border == border


def test_the_first_frames_are_taken(node: Any) -> None:
    images = _frames()
    canvas, _, placed, frames = node.execute(images, **{**DEFAULTS, "first_frames": 2}).args
    assert len(canvas) == 2 and torch.equal(frames, images[:2])
    assert (placed.frames, placed.source_frames) == (2, 5)
    assert len(node.execute(images, **{**DEFAULTS, "first_frames": 99}).args[0]) == 5


def test_the_result_has_the_size_that_is_asked_for(node: Any, pack: Any) -> None:
    """Everything after Edge Mask takes the scaled source for the source, whichever frames and masks are connected."""
    scale_frames = pack.module("m3ddm_core.frames").scale_frames
    images, masks = _frames(), torch.zeros(5, 72, 128)
    masks[2, 10:20, 10:20] = 1
    asked = {**DEFAULTS, "result_size": "height", "result_pixels": 64, "source_mask": masks}
    canvas, mask, placed, frames = node.execute(images, **asked).args
    assert placed.placement.target == (64, 64) and placed.placement.source == (64, 36)
    assert torch.equal(frames, scale_frames(images, (64, 36)))
    assert torch.equal(placed.used(images), frames) and torch.equal(placed.used(frames), frames)
    scaled = placed.used_masks(masks)
    assert scaled.shape == (5, 36, 64) and torch.equal(placed.used_masks(scaled), scaled)
    assert scaled[2, 5:10, 5:10].min() == 1 and not scaled[[0, 1, 3, 4]].any()
    assert mask.shape == (5, 64, 64) and canvas.shape == (5, 64, 64, 3)
    with pytest.raises(ValueError, match=r"got 5 source frames of 100x72, expected 5, .* of 64x36: connect the output"):
        placed.used(images[:, :, :100])


def test_without_the_input_nothing_is_scaled(node: Any) -> None:
    assert node.execute(_frames(), **DEFAULTS).args[2].placement.source == (128, 72)


def test_one_frame_and_alpha_work(node: Any) -> None:
    images = _frames(1, channels=4)
    canvas, _, _, frames = node.execute(images, **DEFAULTS).args
    assert canvas.shape == (1, 64, 64, 3)
    assert torch.equal(frames, images[..., :3])


def test_nothing_to_outpaint_is_a_warning(node: Any, caplog: pytest.LogCaptureFixture) -> None:
    images = _frames()
    with caplog.at_level(logging.WARNING):
        frames = node.execute(images, **{**DEFAULTS, "target": "16:9"}).args[3]
    assert "nothing to outpaint" in caplog.text and "128x72" in caplog.text
    assert torch.equal(frames, images)
    caplog.clear()
    node.execute(images, **DEFAULTS)
    assert not caplog.records


def test_the_preview_shows_canvas_and_mask(node: Any, previews: Path) -> None:
    told = node.execute(_frames(), **DEFAULTS).ui
    shown = told["images"]
    assert len(shown) == 1 and told["source_size"] == [128, 72]
    picture = Image.open(previews / shown[0]["filename"])
    assert picture.size == (128, 64)
    assert picture.getpixel((96, 2)) == (255, 255, 255) and picture.getpixel((96, 32)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("images", "changed", "message"),
    [
        ((0, 72, 128, 3), {}, r"source frames of shape \(0, 72, 128, 3\), expected at least one"),
        (
            (5, 72, 128, 3),
            {"target": "custom ratio", "custom_ratio": "wide"},
            "got the ratio 'wide', expected width:height",
        ),
        ((5, 72, 128, 3), {"canvas_size": 100}, r"got canvas_size=100.*try 96"),
        ((5, 72, 128, 3), {"anchor": "offset", "offset_x": 1}, "got offset_x=1"),
        ((5, 72, 128, 1), {}, r"\(5, 72, 128, 1\)"),
    ],
)
def test_what_does_not_fit_is_named(node: Any, images: tuple, changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        node.execute(torch.zeros(images), **{**DEFAULTS, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, None),
        ({"custom_ratio": "wide"}, None),
        ({"target": "custom ratio", "custom_ratio": "0:1"}, "above zero"),
        ({"target": "custom ratio", "custom_ratio": "wide"}, "got the ratio 'wide', expected width:height"),
        ({"target": "7:7"}, "got the target '7:7'"),
    ],
)
def test_a_wrong_ratio_is_told_before_anything_runs(pack: Any, changed: dict, message: str | None) -> None:
    import execution

    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "M3DDM_EdgeMask", "inputs": {"images": ["1", 0], **DEFAULTS, **changed}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    valid, _, _, errors = asyncio.run(execution.validate_prompt("test", prompt, None))
    assert valid == (message is None)
    if message:
        assert message in errors["2"]["errors"][0]["details"]
