"""Every template is offered with its thumbnail, is whole, and runs from file to file in a real server."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from devtools import templates, workflow
from devtools.host import PACK_NAME
from devtools.server import Server
from devtools.weights import DEMO
from m3ddm_core.frames import scale_frames
from tests.helpers import stand_ins
from tests.helpers.written_videos import facts, frames_of, psnr

pytestmark = pytest.mark.server

IDS = [templates.title(file) for file in templates.TEMPLATES]
EACH = pytest.mark.parametrize("template", templates.TEMPLATES, ids=IDS)
TRY = "1 Try it now"
OTHERS = [template for template in templates.TEMPLATES if templates.title(template) != TRY]
EACH_OTHER = pytest.mark.parametrize("template", OTHERS, ids=[templates.title(template) for template in OTHERS])
NOTES = {"MarkdownNote", "Note"}
OTHER_MODELS = ("UpscaleModelLoader", "CheckpointLoaderSimple", "FrameInterpolationModelLoader")
SAMPLERS = {"M3DDM_SampleKeyframes", "M3DDM_SampleInterpolation", "M3DDM_SampleInfill", "M3DDM_OutpaintVideo"}
PREVIEW_ROOM = 290
CLIP = templates.INPUTS[0]
# 16:9 around the clip's 288x360, with its short side; and its size there.
TARGET, SCALED = (512, 288), (230, 288)
# One moves the clip in a frame of its own, 16:9 already, that has its height: nothing is scaled.
AS_IT_IS = {"Stabilised footage": (640, 360)}
FEATHER = 8
# Where the clip lies in the finished frames; in what a template does not name, centred.
LEFT = {"Guide frames": [56] * 64, "Stabilised footage": [round(352 * frame / 23) for frame in range(24)]}
# Frames in the written video; what a template does not name is as long as the clip.
TRIAL_FRAMES = {"Short clip": 24, "Stabilised footage": 24}
# How many times the clip's frame rate; what a template does not name has the clip's.
TIMES = {"Smoother motion": 2}
# What of the scaled clip (top, bottom, left, right) the mask of a template covers.
COVERED = {"Remove a logo or bars": (6, 45, 159, 224)}


@pytest.fixture(scope="module")
def ready(server: Server) -> Iterator[Server]:
    """The server, with every file there that the templates name."""
    stand_ins.provide(server.base)
    yield server


@pytest.fixture(scope="module")
def object_info(ready: Server) -> dict[str, Any]:
    return ready.client.object_info()


def load(template: Path) -> dict[str, Any]:
    return json.loads(template.read_text(encoding="utf-8"))


def definitions(info: dict[str, Any]) -> dict[str, Any]:
    """All inputs of a node's definition by name."""
    return {**info["input"].get("required", {}), **info["input"].get("optional", {})}


def choices(spec: Any) -> list[str] | None:
    """What a combo offers; None for other inputs."""
    if isinstance(spec[0], list):
        return spec[0]
    options = spec[1].get("options") if len(spec) > 1 else None
    return None if options is None else [o["key"] if isinstance(o, dict) else o for o in options]


def stored(info: dict[str, Any]) -> int:
    """How many widget values the frontend keeps of a node: one an input that is not a socket, one for what follows a
    seed, one for an upload button."""
    kinds = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}
    widgets = [spec for spec in definitions(info).values() if isinstance(spec[0], list) or spec[0] in kinds]
    options = [spec[1] if len(spec) > 1 else {} for spec in widgets]
    extra = ("control_after_generate", "image_upload", "video_upload")
    return len(widgets) + sum(any(option.get(key) for key in extra) for option in options)


def clip_in(name: str) -> np.ndarray:
    """The clip's frames as they lie in a template's video, 8 bits."""
    frames = frames_of(CLIP)
    if name in AS_IT_IS:
        return frames
    return (scale_frames(torch.from_numpy(frames) / 255, SCALED) * 255).round().byte().numpy()


def source_psnr(written: np.ndarray, name: str) -> float:
    """How well a template's video shows the clip's own pixels, feather left out, in dB over the frames of the clip."""
    written, source = written[:: TIMES.get(name, 1)], clip_in(name)
    height, width = source.shape[1:3]
    left = LEFT.get(name, [(written.shape[2] - width) // 2] * len(written))
    shown = np.zeros((height, width), bool)
    shown[:, FEATHER : width - FEATHER] = True
    if name in COVERED:
        top, bottom, first, last = COVERED[name]
        shown[max(top - FEATHER, 0) : bottom + FEATHER, first - FEATHER : last + FEATHER] = False
    pixels = np.stack([frame[:, start : start + width][shown] for frame, start in zip(written, left, strict=True)])
    return psnr(pixels, source[: len(written), shown])


def test_those_asked_for_are_there_and_nothing_else() -> None:
    first = {"Step by step", "Short clip", "Guide frames"}
    second = {"Any length in one node", "Sharper second pass", "Upscaled border", "First frame by prompt"}
    third = {"M3DDM Plus weights", "Moving camera", "Stabilised footage", "Smoother motion", "Remove a logo or bars"}
    assert set(IDS) == {TRY} | first | second | third
    assert min(IDS) == TRY, "nodes/web/template_order.js lists them by name"
    late = [file.stem for file in templates.TEMPLATES if file.stem.index("Video Outpainting") > 32]
    assert late == [], "the frontend's search does not find what begins later"
    files = {file.name for file in templates.FOLDER.iterdir()}
    assert files == {f"{name}{templates.SUFFIX}{suffix}" for name in IDS for suffix in (".json", ".jpg")}


def test_the_server_lists_them(ready: Server) -> None:
    assert sorted(ready.client.get("/workflow_templates")[PACK_NAME]) == [f"{name}{templates.SUFFIX}" for name in IDS]


@EACH
def test_it_is_served_with_its_thumbnail(template: Path, ready: Server) -> None:
    # The frontend makes both addresses from the pack's folder and the template's name.
    address = f"/api/workflow_templates/{PACK_NAME}/{urllib.parse.quote(template.stem)}"
    assert json.loads(ready.client.read(f"{address}.json")) == load(template)
    picture = ready.client.read(f"{address}.jpg")
    assert picture == template.with_suffix(".jpg").read_bytes()
    assert picture[:3] == b"\xff\xd8\xff"


@EACH
def test_links_lead_from_a_slot_to_a_slot_of_its_type(template: Path) -> None:
    graph = load(template)
    nodes = {node["id"]: node for node in graph["nodes"]}
    seen = set()
    for link, origin, slot, target, place, kind in graph["links"]:
        source, sink = nodes[origin]["outputs"][slot], nodes[target]["inputs"][place]
        assert link in source["links"] and sink["link"] == link
        assert source["type"] == kind and kind in sink["type"].split(",")
        seen.add(link)
    held = [s["link"] for node in nodes.values() for s in node.get("inputs", []) if s.get("link") is not None]
    assert sorted(held) == sorted(seen)
    assert graph["last_link_id"] >= max(seen) and graph["last_node_id"] >= max(nodes)


@EACH
def test_nodes_and_inputs_are_those_of_the_server(template: Path, object_info: dict[str, Any]) -> None:
    graph = load(template)
    prompt = workflow.to_prompt(graph, object_info)
    assert {node["type"] for node in graph["nodes"]} - NOTES == {entry["class_type"] for entry in prompt.values()}
    for node in graph["nodes"]:
        if node["type"] in NOTES:
            continue
        info = object_info[node["type"]]
        known, values = definitions(info), prompt[str(node["id"])]["inputs"]
        # What a dynamic combo's choice adds has a dotted name, and a value of its own.
        added = sum("." in name and not isinstance(value, list) for name, value in values.items())
        assert len(node.get("widgets_values") or []) == stored(info) + added, node["type"]
        # So has each part of an input that grows.
        given = {name.partition(".")[0] for name in values}
        assert set(info["input"]["required"]) <= given <= set(known), node["type"]
        for name, value in values.items():
            offered = choices(known[name]) if name in known and not isinstance(value, list) else None
            assert offered is None or value in offered, f"{node['type']}.{name}: {value!r} is not offered"
        names = [slot["name"].partition(".")[0] for slot in node.get("inputs", [])]
        assert set(names) <= set(known), node["type"]
        assert [slot["type"] for slot in node["outputs"]] == info["output"], node["type"]


def test_the_first_names_what_comes_with_the_pack(object_info: dict[str, Any]) -> None:
    """So that it runs after installation; what else it is sampled with is the checkpoint's to say."""
    graph = load(templates.titled(TRY))
    prompt = workflow.to_prompt(graph, object_info)
    (loader,), (vae,), (outpaint,) = (
        workflow.of_type(prompt, kind) for kind in ("M3DDM_LoadCheckpoint", "M3DDM_LoadVAE", "M3DDM_OutpaintVideo")
    )
    assert prompt[loader]["inputs"]["checkpoint"] == DEMO.checkpoint.name
    assert prompt[vae]["inputs"]["vae_name"] == DEMO.vae.name
    assert prompt[prompt[outpaint]["inputs"]["video"][0]]["class_type"] == "M3DDM_DemoClip"
    assert prompt[outpaint]["inputs"]["canvas_size"] == 0 and "settings" not in prompt[outpaint]["inputs"]
    note = next(node["widgets_values"][0] for node in graph["nodes"] if node["type"] in NOTES)
    for words in ("demonstration, not the published model", "Big Buck Bunny", "CC BY 3.0"):
        assert words in note, words


@EACH_OTHER
def test_its_first_note_says_in_a_line_how_to_try_it(template: Path) -> None:
    note = next(node["widgets_values"][0] for node in load(template)["nodes"] if node["type"] == "MarkdownNote")
    (line,) = (line for line in note.splitlines() if line.startswith("**No weights yet?**"))
    for word in (f"*{TRY}*", f"`{DEMO.checkpoint.name}`", "**M3DDM Load VAE**", "*checkpoint*", "`canvas_size`"):
        assert word in line, word


@EACH_OTHER
def test_what_it_names_is_what_its_note_speaks_of(template: Path) -> None:
    graph = load(template)
    by_type: dict[str, list[dict[str, Any]]] = {}
    for node in graph["nodes"]:
        by_type.setdefault(node["type"], []).append(node)
    text = "\n".join(node["widgets_values"][0] for node in by_type["MarkdownNote"])
    (loader,), (vae,), (clip,) = by_type["M3DDM_LoadCheckpoint"], by_type["VAELoader"], by_type["LoadVideo"]
    plus = templates.title(template) == "M3DDM Plus weights"
    checkpoint = templates.CHECKPOINT_PLUS if plus else templates.CHECKPOINT
    assert loader["widgets_values"][0] == checkpoint
    assert vae["widgets_values"][0] == templates.VAE
    assert clip["widgets_values"][0] == CLIP.name
    licences = ("Apache-2.0", "MIT", "CC BY 3.0")
    others = [node["widgets_values"][0] for kind in OTHER_MODELS for node in by_type.get(kind, [])]
    for word in (checkpoint, templates.VAE, CLIP.name, *licences, "`assets`", *others):
        assert word in text, word
    download = "DOWNLOADED.ckpt" if plus else "diffusion_pytorch_model.bin"
    assert f"python -m m3ddm_core convert {download} {checkpoint} --dtype fp16" in text
    # The frontend offers a download where the address is of a host and of a kind of file that it trusts.
    assert vae["properties"]["models"][0]["directory"] == "vae"
    for node in graph["nodes"]:
        for hint in node["properties"].get("models", []):
            assert hint["name"] == node["widgets_values"][0]
            assert hint["url"].startswith("https://huggingface.co/") and hint["url"].endswith(hint["name"])


@EACH
def test_it_reads_from_left_to_right_and_nothing_overlaps(template: Path) -> None:
    graph = load(template)
    title = 30
    # A node that samples grows by as much while it runs, for its line of text and the preview.
    room = {n["id"]: PREVIEW_ROOM if n["type"] in SAMPLERS else 0 for n in graph["nodes"]}
    boxes = {
        n["id"]: (*n["pos"], n["pos"][0] + n["size"][0], n["pos"][1] + n["size"][1] + room[n["id"]])
        for n in graph["nodes"]
    }
    items = list(boxes.items())
    for index, (one, (left, top, right, bottom)) in enumerate(items):
        for other, (left2, top2, right2, bottom2) in items[index + 1 :]:
            apart = right <= left2 or right2 <= left or bottom <= top2 - title or bottom2 <= top - title
            assert apart, f"nodes {one} and {other} overlap"
    for _, origin, _, target, _, _ in graph["links"]:
        assert boxes[origin][0] <= boxes[target][0], f"the link from {origin} to {target} runs to the left"


def test_our_nodes_name_the_pack_that_has_them() -> None:
    for template in templates.TEMPLATES:
        for node in load(template)["nodes"]:
            if node["type"] not in NOTES:
                pack = PACK_NAME if node["type"].startswith("M3DDM_") else "comfy-core"
                assert node["properties"]["cnr_id"] == pack, node["type"]


@EACH
def test_it_runs_from_file_to_file(template: Path, ready: Server, object_info: dict[str, Any], tmp_path: Path) -> None:
    prompt = workflow.load(template, object_info)
    for kind, inputs in templates.QUICK.items():
        if workflow.of_type(prompt, kind):
            workflow.set_inputs(prompt, kind, **inputs)
    # So that nothing comes from the cache of another test's run.
    for kind in {entry["class_type"] for entry in prompt.values() if "seed" in entry["inputs"]}:
        workflow.set_inputs(prompt, kind, seed=7)
    for node in workflow.of_type(prompt, "M3DDM_EdgeMask"):
        prompt[node]["inputs"]["custom_ratio"] = (
            f"1:{1 + IDS.index(templates.title(template))}"  # not read: the target is 16:9
        )
    result = ready.client.run(prompt)

    (save,) = workflow.of_type(prompt, "SaveVideo")
    (written,) = result.files(save)
    video = ready.client.fetch(written, tmp_path / "out.mp4")
    frames, size, rate, seconds, loudest = facts(video)
    source_frames, _, source_rate, source_seconds, _ = facts(CLIP)
    times = TIMES.get(templates.title(template), 1)
    # Between two frames there are new ones, behind the last there is none.
    expected = (TRIAL_FRAMES.get(templates.title(template), source_frames) - 1) * times + 1
    assert (frames, size) == (expected, AS_IT_IS.get(templates.title(template), TARGET))
    assert rate == pytest.approx(times * source_rate, abs=1e-3)
    assert seconds == pytest.approx(min(source_seconds, expected / rate), abs=0.1)
    assert loudest > 0.01
    pictures = frames_of(video)
    # Scaled, it is finer for its size, and the encoder loses more; a pixel aside it would be 26 dB.
    assert source_psnr(pictures, templates.title(template)) >= 38.0
    if times > 1:
        assert_halfway(pictures)
    if templates.title(template) in COVERED:
        assert_replaced(pictures, COVERED[templates.title(template)])
    for kind in ("M3DDM_EdgeMask", "M3DDM_SeenPixels"):
        for node in workflow.of_type(prompt, kind):
            assert result.files(node), f"{kind} shows no preview"
    for preview in workflow.of_type(prompt, "PreviewImage"):
        assert len(result.files(preview)) == (1 if "first frame" in prompt[preview]["_meta"]["title"] else expected)
        # It is there to be judged before the long part of the work begins.
        order = list(result.node_seconds)
        (interpolation,) = workflow.of_type(prompt, "M3DDM_SampleInterpolation")
        assert order.index(preview) < order.index(interpolation)


def assert_halfway(written: np.ndarray) -> None:
    """Every second frame is what the stand-in of the interpolator makes: the mean of its neighbours."""
    before, new, after = (written[start:stop:2].astype(np.float64) for start, stop in ((0, -1), (1, None), (2, None)))
    assert psnr(new, (before + after) / 2) >= 40.0
    assert psnr(new, before) < 35.0 and psnr(new, after) < 35.0


def assert_replaced(written: np.ndarray, covered: tuple[int, int, int, int]) -> None:
    """What the mask covers shows the clip no more."""
    top, bottom, first, last = covered
    source = clip_in("replace_a_logo")
    left = (written.shape[2] - source.shape[2]) // 2
    made = written[:, top:bottom, left + first : left + last]
    assert psnr(made, source[:, top:bottom, first:last]) < 25.0


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
    assert prompt[number]["class_type"] == "PrimitiveInt"
    assert prompt[create]["inputs"]["images"] == [interpolate, 0]
    product = prompt[prompt[create]["inputs"]["fps"][0]]
    assert product["class_type"] == "ComfyMathExpression"
    assert product["inputs"] == {"expression": "a * b", "values.a": [parts, 2], "values.b": [number, 0]}


def test_the_mask_goes_wherever_it_is_read(object_info: dict[str, Any]) -> None:
    """What is to be replaced is neither shown to the network nor left in the result."""
    prompt = workflow.load(templates.titled("Remove a logo or bars"), object_info)
    (mask,) = workflow.of_type(prompt, "GrowMask")
    readers = [entry["class_type"] for entry in prompt.values() if entry["inputs"].get("source_mask") == [mask, 0]]
    assert sorted(readers) == ["M3DDM_Composite", "M3DDM_EdgeMask", "M3DDM_EncodeGlobalFrames"]
    known = [kind for kind in object_info if "source_mask" in definitions(object_info[kind])]
    assert set(readers) == {kind for kind in known if workflow.of_type(prompt, kind)}


def test_both_edge_masks_of_the_first_frame_are_of_one_shape(object_info: dict[str, Any]) -> None:
    prompt = workflow.load(templates.titled("First frame by prompt"), object_info)
    one, other = (prompt[node]["inputs"] for node in workflow.of_type(prompt, "M3DDM_EdgeMask"))
    different = {name for name in one if one[name] != other[name]}
    assert different == {"canvas_size", "canvas_shape", "first_frames"}


def test_the_frames_that_move_are_masked_wherever_they_are_looked_at(object_info: dict[str, Any]) -> None:
    prompt = workflow.load(templates.titled("Stabilised footage"), object_info)
    (move,) = workflow.of_type(prompt, "M3DDM_MoveFrames")
    for kind in ("M3DDM_EdgeMask", "M3DDM_EncodeGlobalFrames", "M3DDM_Composite"):
        (node,) = workflow.of_type(prompt, kind)
        assert prompt[node]["inputs"]["source_mask"] == [move, 1]


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
