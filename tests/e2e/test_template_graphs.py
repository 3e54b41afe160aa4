"""What is wired to what in single templates: the point of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devtools import templates, workflow
from tests.helpers.template_files import EACH

pytestmark = pytest.mark.server


@EACH
def test_all_levels_have_one_seed(template: Path, object_info: dict[str, Any]) -> None:
    prompt = workflow.load(template, object_info)
    levels = ["M3DDM_SampleKeyframes", "M3DDM_SampleInterpolation", "M3DDM_SampleInfill"]
    seeds = [prompt[node]["inputs"]["seed"] for kind in levels for node in workflow.of_type(prompt, kind)]
    assert len(seeds) < 3 or (isinstance(seeds[0], list) and seeds == seeds[:1] * len(seeds))


@pytest.mark.parametrize("name", ["Step by step", "M3DDM Plus weights"])
def test_keyframes_are_previewed(name: str, object_info: dict[str, Any]) -> None:
    prompt = workflow.load(templates.titled(name), object_info)
    (preview,), (keyframes,) = (
        workflow.of_type(prompt, "PreviewImage"),
        workflow.of_type(prompt, "M3DDM_SampleKeyframes"),
    )
    decode = prompt[prompt[preview]["inputs"]["images"][0]]
    assert decode["class_type"] == "VAEDecode"
    assert decode["inputs"]["samples"] == [keyframes, 1]


def test_m3ddm_plus_has_its_strides(object_info: dict[str, Any]) -> None:
    prompt = workflow.load(templates.titled("M3DDM Plus weights"), object_info)
    strides = [entry["inputs"]["stride"] for entry in prompt.values() if "stride" in entry["inputs"]]
    assert strides == [5, 3]


def test_the_second_pass_starts_from_the_first(object_info: dict[str, Any]) -> None:
    """What comes out of the first pass goes into the second, and there alone noise is added in part."""
    prompt = workflow.load(templates.titled("Sharper second pass"), object_info)
    (second,) = workflow.of_type(prompt, "M3DDM_SecondPass")
    first, last = workflow.of_type(prompt, "M3DDM_Composite")
    assert prompt[second]["inputs"]["generated"] == [first, 0]
    assert prompt[last]["inputs"]["placement"] == [second, 2]
    used = [prompt[node]["inputs"]["settings"][0] for node in workflow.of_type(prompt, "M3DDM_SampleInfill")]
    assert [prompt[settings]["inputs"]["denoise"] for settings in used] == [1, 0.4]
    assert (
        prompt[second]["inputs"]["canvas_size"]
        > prompt[prompt[first]["inputs"]["placement"][0]]["inputs"]["canvas_size"]
    )


def test_the_frame_rate_grows_with_the_number_of_frames(object_info: dict[str, Any]) -> None:
    """One number says how many times as many frames there are, and how many times as fast they are shown."""
    prompt = workflow.load(templates.titled("Smoother motion"), object_info)
    (interpolate,), (create,) = workflow.of_type(prompt, "FrameInterpolate"), workflow.of_type(prompt, "CreateVideo")
    (parts,), number = workflow.of_type(prompt, "GetVideoComponents"), prompt[interpolate]["inputs"]["multiplier"][0]
    (outpaint,) = workflow.of_type(prompt, "M3DDM_OutpaintVideo")
    assert prompt[parts]["inputs"]["video"] == [outpaint, 0]
    assert prompt[number]["class_type"] == "PrimitiveInt"
    assert prompt[create]["inputs"]["images"] == [interpolate, 0]
    product = prompt[prompt[create]["inputs"]["fps"][0]]
    assert product["class_type"] == "ComfyMathExpression"
    assert product["inputs"] == {"expression": "a * b", "values.a": [parts, 2], "values.b": [number, 0]}


def test_the_mask_covers_what_is_left_of_the_bars(object_info: dict[str, Any]) -> None:
    """It has the size of the cropped video, is generated anew, and is shown."""
    prompt = workflow.load(templates.titled("Remove a logo or bars"), object_info)
    kinds = (
        "M3DDM_CropVideo",
        "GrowMask",
        "M3DDM_OutpaintVideo",
        "JoinImageWithAlpha",
        "SplitImageWithAlpha",
        "PreviewImage",
        "GetImageSize",
        "Video Slice",
    )
    (crop,), (mask,), (outpaint,), (cut_out,), (again,), (shown,), (size,), (first,) = (
        workflow.of_type(prompt, kind) for kind in kinds
    )
    assert prompt[outpaint]["inputs"]["video"] == prompt[first]["inputs"]["video"] == [crop, 0]
    assert prompt[cut_out]["inputs"]["alpha"] == [mask, 0]
    # The long part waits for what is shown.
    assert prompt[shown]["inputs"]["images"] == prompt[again]["inputs"]["image"] == [cut_out, 0]
    assert prompt[outpaint]["inputs"]["source_mask"] == [again, 1]
    (nothing,) = (
        prompt[node]["inputs"] for node in workflow.of_type(prompt, "SolidMask") if prompt[node]["inputs"]["value"] == 0
    )
    assert (nothing["width"], nothing["height"]) == ([size, 0], [size, 1])


def test_both_edge_masks_of_the_first_frame_are_of_one_shape(object_info: dict[str, Any]) -> None:
    prompt = workflow.load(templates.titled("First frame by prompt"), object_info)
    one, other = (prompt[node]["inputs"] for node in workflow.of_type(prompt, "M3DDM_EdgeMask"))
    different = {name for name in one if one[name] != other[name]}
    assert different == {"canvas_size", "canvas_shape", "first_frames"}


def test_the_frames_that_move_are_masked(object_info: dict[str, Any]) -> None:
    prompt = workflow.load(templates.titled("Stabilised footage"), object_info)
    (move,), (create,) = workflow.of_type(prompt, "M3DDM_MoveFrames"), workflow.of_type(prompt, "CreateVideo")
    (outpaint,) = workflow.of_type(prompt, "M3DDM_OutpaintVideo")
    assert prompt[create]["inputs"]["images"] == [move, 0]
    assert prompt[outpaint]["inputs"]["video"] == [create, 0]
    assert prompt[outpaint]["inputs"]["source_mask"] == [move, 1]


def test_what_is_named_is_masked_and_shown(object_info: dict[str, Any]) -> None:
    prompt = workflow.load(templates.titled("Remove what you name"), object_info)
    kinds = ("SAM3_VideoTrack", "SAM3_TrackPreview", "SAM3_TrackToMask", "GrowMask", "M3DDM_OutpaintVideo")
    (track,), (shown,), (masks,), (grown,), (outpaint,) = (workflow.of_type(prompt, kind) for kind in kinds)
    assert prompt[shown]["inputs"]["track_data"] == prompt[masks]["inputs"]["track_data"] == [track, 0]
    assert prompt[grown]["inputs"]["mask"] == [masks, 0]
    assert prompt[outpaint]["inputs"]["source_mask"] == [grown, 0]


def test_what_is_restored_is_the_outpainted_video(object_info: dict[str, Any]) -> None:
    """SeedVR2 is conditioned on the very parts that it samples, and its colours are those of what it was given."""
    prompt = workflow.load(templates.titled("Restored by SeedVR2"), object_info)
    kinds = (
        "GetVideoComponents",
        "ResizeImageMaskNode",
        "SeedVR2TemporalChunk",
        "SeedVR2PostProcessing",
        "CreateVideo",
    )
    (parts,), (larger,), (chunks,), (restored,), (create,) = (workflow.of_type(prompt, kind) for kind in kinds)
    (outpaint,), (sampler,) = workflow.of_type(prompt, "M3DDM_OutpaintVideo"), workflow.of_type(prompt, "KSampler")
    assert prompt[parts]["inputs"]["video"] == [outpaint, 0]
    (conditioning,) = workflow.of_type(prompt, "SeedVR2Conditioning")
    assert (
        prompt[sampler]["inputs"]["latent_image"] == prompt[conditioning]["inputs"]["vae_conditioning"] == [chunks, 0]
    )
    assert prompt[restored]["inputs"]["original_resized_images"] == [larger, 0]
    assert prompt[create]["inputs"]["images"] == [restored, 0] and prompt[create]["inputs"]["audio"] == [parts, 1]


def test_seen_pixels_are_started_from_and_laid_over(object_info: dict[str, Any]) -> None:
    """Both uses, of the frames and the placement of one Edge Mask."""
    prompt = workflow.load(templates.titled("Moving camera"), object_info)
    kinds = ("M3DDM_EdgeMask", "M3DDM_SeenPixels", "M3DDM_EncodeContext", "M3DDM_Composite")
    (edge,), (seen,), (context,), (composite,) = (workflow.of_type(prompt, kind) for kind in kinds)
    assert prompt[seen]["inputs"] == {
        "images": [edge, 3],
        "placement": [edge, 2],
        "scene_cuts": True,
        "cut_threshold": 0.25,
    }
    assert prompt[context]["inputs"]["canvas"] == [seen, 1] and prompt[context]["inputs"]["mask"] == [edge, 1]
    assert prompt[composite]["inputs"]["seen"] == [seen, 0]
    assert "source_mask" not in prompt[edge]["inputs"]
