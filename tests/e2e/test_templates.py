"""Every template is offered with its thumbnail, is whole, and says what it needs."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from devtools import templates, workflow
from devtools.host import PACK_NAME
from devtools.server import Server
from devtools.weights import DEMO
from tests.helpers.template_files import (
    APPS,
    CLIP,
    EACH,
    EACH_OTHER,
    IDS,
    NOTES,
    TRY,
    by_type,
    choices,
    definitions,
    load,
    stored,
)

pytestmark = pytest.mark.server

OTHER_MODELS = ("UpscaleModelLoader", "CheckpointLoaderSimple", "FrameInterpolationModelLoader", "UNETLoader")
SAMPLERS = {"M3DDM_SampleKeyframes", "M3DDM_SampleInterpolation", "M3DDM_SampleInfill", "M3DDM_OutpaintVideo"}
PREVIEW_ROOM = 290
MATCHED = "COMFY_MATCHTYPE_V3"


def test_those_asked_for_are_there_and_nothing_else() -> None:
    first = {"Step by step", "Short clip", "Guide frames"}
    second = {"Outpaint a video", "Sharper second pass", "Upscaled border", "First frame by prompt"}
    third = {"M3DDM Plus weights", "Moving camera", "Stabilised footage", "Smoother motion", "Remove a logo or bars"}
    fourth = {"Phone to wide", "Remove what you name", "Restored by SeedVR2"}
    assert set(IDS) == {TRY} | first | second | third | fourth
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
        outputs = [slot["type"] for slot in node["outputs"]]
        # An output that is of its input's type is so in the file.
        expected = [kind if kind != MATCHED else outputs[place] for place, kind in enumerate(info["output"])]
        assert outputs == expected, node["type"]


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
    nodes = by_type(load(template))
    text = "\n".join(node["widgets_values"][0] for node in nodes["MarkdownNote"])
    (loader,), (clip,) = nodes["M3DDM_LoadCheckpoint"], nodes["LoadVideo"]
    plus = templates.title(template) == "M3DDM Plus weights"
    checkpoint = templates.CHECKPOINT_PLUS if plus else templates.CHECKPOINT
    if "M3DDM_LoadVAE" in nodes:  # it runs with the demonstration, and says where the published network goes
        (vae,) = nodes["M3DDM_LoadVAE"]
        assert loader["widgets_values"][0] == DEMO.checkpoint.name and vae["widgets_values"][0] == DEMO.vae.name
        assert all(node["widgets_values"][9] == 0 for node in nodes["M3DDM_OutpaintVideo"]), "the checkpoint's canvas"
        assert all(node["widgets_values"][8] == "checkpoint" for node in nodes.get("M3DDM_SamplingSettings", []))
    else:
        (vae,) = nodes["VAELoader"]
        assert loader["widgets_values"][0] == checkpoint and vae["widgets_values"][0] == templates.VAE
        # The frontend offers a download where the address is of a host and of a kind of file that it trusts.
        assert vae["properties"]["models"][0]["directory"] == "vae"
    assert clip["widgets_values"][0] == CLIP.name
    licences = ("Apache-2.0", "MIT", "CC BY 3.0")
    others = [node["widgets_values"][0] for kind in OTHER_MODELS for node in nodes.get(kind, [])]
    for word in (checkpoint, templates.VAE, CLIP.name, *licences, "`assets`", *others):
        assert word in text, word
    download = "DOWNLOADED.ckpt" if plus else "diffusion_pytorch_model.bin"
    assert f"python -m m3ddm_core convert {download} {checkpoint} --dtype fp16" in text
    for node in (node for several in nodes.values() for node in several):
        for hint in node["properties"].get("models", []):
            assert hint["name"] == node["widgets_values"][0] and hint["name"] in text
            assert hint["url"].startswith("https://huggingface.co/") and hint["url"].endswith(hint["name"])


@EACH
def test_apps_and_they_alone_open_as_a_form(template: Path, object_info: dict[str, Any]) -> None:
    graph = load(template)
    extra, title = graph["extra"], templates.title(template)
    assert extra.get("linearMode", False) == (title in APPS) == ("linearData" in extra)
    if title not in APPS:
        return
    nodes = {node["id"]: node for node in graph["nodes"]}
    for number, name, says in extra["linearData"]["inputs"]:
        info = object_info[nodes[number]["type"]]
        assert not definitions(info)[name][1:2] or not definitions(info)[name][1].get("advanced"), "it would be empty"
        linked = [slot["name"] for slot in nodes[number]["inputs"] if slot["link"] is not None]
        assert name not in linked and len(says["description"]) <= 32, "longer ones are cut off"
    shown = [nodes[int(number)]["type"] for number in extra["linearData"]["outputs"]]
    assert shown[0] == "SaveVideo" and all(object_info[kind]["output_node"] for kind in shown)


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
