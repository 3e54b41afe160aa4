"""The one node for beginners: offered by the server, whole, added by the frontend's search, and run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

from devtools import host as hosts
from devtools import workflow
from devtools.client import Prompt
from devtools.host import PACK, PACK_NAME
from devtools.server import Server
from devtools.weights import DEMO

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.server

FILE = PACK / "subgraphs" / "Video Outpainting (M3DDM).json"
CLIP = "big_buck_bunny.mp4"
# What a beginner is asked, by the node inside and its input.
ASKED = {
    "video": ("M3DDM_OutpaintVideo", "video"),
    "target": ("M3DDM_OutpaintVideo", "target"),
    "preset": ("M3DDM_SamplingSettings", "preset"),
    "seed": ("M3DDM_OutpaintVideo", "seed"),
    "checkpoint": ("M3DDM_LoadCheckpoint", "checkpoint"),
    "vae_name": ("M3DDM_LoadVAE", "vae_name"),
}
QUICK = {"canvas_size": 64, "first_frames": 20}


@pytest.fixture(scope="module")
def blueprint() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def inner(blueprint: dict[str, Any], server: Server) -> Prompt:
    """What is inside as a prompt, with the values that the blueprint holds."""
    (definition,) = blueprint["definitions"]["subgraphs"]
    links = [link for link in definition["links"] if link["origin_id"] > 0 and link["target_id"] > 0]
    return workflow.to_prompt({"nodes": definition["nodes"], "links": links}, server.client.object_info())


def facts(video: Path) -> tuple[int, tuple[int, int], bool]:
    """Frames, size, and whether there is sound."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        return sum(1 for _ in container.decode(stream)), (stream.width, stream.height), bool(container.streams.audio)


def test_the_server_offers_it(server: Server, blueprint: dict[str, Any]) -> None:
    entries = {
        key: e for key, e in server.client.get("/global_subgraphs").items() if PACK_NAME in e["info"]["node_pack"]
    }
    assert {entry["name"] for entry in entries.values()} == {file.stem for file in FILE.parent.glob("*.json")}
    (key,) = [key for key, entry in entries.items() if entry["name"] == FILE.stem]
    assert json.loads(server.client.get(f"/global_subgraphs/{key}")["data"]) == blueprint


def test_the_registry_packs_it() -> None:
    left_out = (PACK / ".comfyignore").read_text(encoding="utf-8").split("\n")
    assert FILE.is_file() and not [line for line in left_out if line.strip("/*") in ("subgraphs", ".json")]


def test_it_is_made_as_those_of_the_core(blueprint: dict[str, Any], host: hosts.Host) -> None:
    """So that it can be offered to ComfyUI's own collection."""
    theirs = [json.loads(file.read_text(encoding="utf-8")) for file in (host.path / "blueprints").glob("*.json")]

    def parts(one: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        (node,) = one["nodes"]
        return one, node, next(s for s in one["definitions"]["subgraphs"] if s["id"] == node["type"])

    ours, *_ = [parts(blueprint)]
    for mine, *others in zip(ours, *map(parts, theirs), strict=True):
        assert set.intersection(*map(set, others)) <= set(mine)
    _, node, definition = ours
    assert definition["name"] == node["title"] == FILE.stem
    sections = {parts(one)[2]["category"].split("/")[0] for one in theirs}
    section, kind = definition["category"].split("/")
    assert section in sections and kind == "Outpaint video"
    assert blueprint["extra"]["BlueprintDescription"] == definition["description"]


def test_it_is_one_node_that_asks_little(blueprint: dict[str, Any]) -> None:
    (node,), (definition,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    assert node["type"] == definition["id"] and blueprint["links"] == []
    assert [slot["name"] for slot in node["inputs"]] == [slot["name"] for slot in definition["inputs"]] == list(ASKED)
    assert [slot["type"] for slot in node["outputs"]] == [slot["type"] for slot in definition["outputs"]] == ["VIDEO"]
    nodes = {inside["id"]: inside for inside in definition["nodes"]}
    links = {link["id"]: link for link in definition["links"]}
    for number, slot in enumerate(definition["inputs"]):
        (link,) = (links[link] for link in slot["linkIds"])
        target = nodes[link["target_id"]]
        entry = target["inputs"][link["target_slot"]]
        assert (link["origin_id"], link["origin_slot"]) == (-10, number) and entry["link"] == link["id"]
        assert (target["type"], entry["name"]) == ASKED[slot["name"]]
        assert entry["type"] == slot["type"] == link["type"]
    for link in definition["links"]:
        if link["origin_id"] > 0:
            assert link["id"] in nodes[link["origin_id"]]["outputs"][link["origin_slot"]]["links"]


def test_what_is_inside_is_what_the_server_knows(inner: Prompt, server: Server) -> None:
    info = server.client.object_info()
    for entry in inner.values():
        inputs = info[entry["class_type"]]["input"]
        assert set(entry["inputs"]) <= {*inputs["required"], *inputs.get("optional", {})}
        assert set(inputs["required"]) - set(entry["inputs"]) <= {"video"}
    (settings,) = workflow.of_type(inner, "M3DDM_SamplingSettings")
    (outpaint,) = workflow.of_type(inner, "M3DDM_OutpaintVideo")
    assert inner[settings]["inputs"]["preset"] == "checkpoint" and inner[settings]["inputs"]["clips_per_batch"] == 0
    chosen = {
        "canvas_size": 0,
        "target": "16:9",
        "seed": 0,
        "colour_match": "steady",
        "blend": "gradient",
        "scene_cuts": True,
    }
    assert chosen.items() <= inner[outpaint]["inputs"].items()
    assert inner[outpaint]["inputs"]["settings"] == [settings, 0]
    (model,), (vae,) = workflow.of_type(inner, "M3DDM_LoadCheckpoint"), workflow.of_type(inner, "M3DDM_LoadVAE")
    assert inner[model]["inputs"]["checkpoint"] == DEMO.checkpoint.name
    assert inner[vae]["inputs"]["vae_name"] == DEMO.vae.name


def test_it_runs_as_a_prompt(inner: Prompt, server: Server, tmp_path: Path) -> None:
    prompt = json.loads(json.dumps(inner))
    (outpaint,) = workflow.of_type(prompt, "M3DDM_OutpaintVideo")
    prompt["load"] = {"class_type": "LoadVideo", "inputs": {"file": CLIP}}
    prompt["save"] = {
        "class_type": "SaveVideo",
        "inputs": {"video": [outpaint, 0], "filename_prefix": "subgraph", "format": "mp4", "codec": "h264"},
    }
    prompt[outpaint]["inputs"] |= {"video": ["load", 0], "first_frames": 20}  # as it is, but shorter
    (written,) = server.client.run(prompt).files("save")
    assert facts(server.client.fetch(written, tmp_path / "out.mp4")) == (20, (512, 288), True)


@pytest.fixture
def frontend(browser: Browser, server: Server) -> Iterator[Any]:
    from tests.helpers.real_frontend import Frontend

    page = browser.new_page(viewport={"width": 1300, "height": 800})
    frontend = Frontend(page, server)
    frontend.open(first_start=False)
    page.evaluate("() => app.loadGraphData({ version: 0.4, nodes: [], links: [] })")
    yield frontend
    page.close()


@pytest.mark.browser
def test_it_is_found_added_and_run(frontend: Any, server: Server, inner: Prompt) -> None:
    from tests.helpers.real_frontend import A_RUN, COMPLAINTS

    page = frontend.page
    page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    page.get_by_role("search").get_by_role("combobox").fill("video outpainting")
    found = page.get_by_test_id("result-item").filter(has_text=FILE.stem)
    found.wait_for()
    assert FILE.stem in "".join(page.get_by_test_id("result-item").all_inner_texts()[:2])
    frontend.shoot("subgraph_found")
    found.click()
    page.mouse.click(700, 300)  # the node follows the pointer until then
    page.wait_for_function("() => app.graph.nodes.length === 1")
    widgets = page.evaluate("() => app.graph.nodes[0].widgets.map(w => [w.name, w.value])")
    assert [name for name, _ in widgets] == [name for name in ASKED if name != "video"]
    for name, value in widgets:
        kind, entry = ASKED[name]
        (number,) = workflow.of_type(inner, kind)
        assert value == inner[number]["inputs"][entry], name
    page.evaluate(
        """([clip, quick]) => {
            const one = app.graph.nodes[0]
            const add = (type, x) => {
                const node = LiteGraph.createNode(type)
                node.pos = [one.pos[0] + x, one.pos[1]]
                app.graph.add(node)
                return node
            }
            const set = (node, values) => {
                for (const name in values) node.widgets.find(w => w.name === name).value = values[name]
            }
            const load = add('LoadVideo', -320), save = add('SaveVideo', 400)
            set(load, { file: clip })
            load.connect(0, one, 0)
            one.connect(0, save, 0)
            set(one, { target: '1:1', preset: 'fast', seed: 7 })
            set(one.subgraph.nodes.find(n => n.type === 'M3DDM_OutpaintVideo'), quick)
        }""",
        [CLIP, QUICK],
    )
    _, prompt = frontend.graph()
    (outpaint,), (settings,) = (
        workflow.of_type(prompt, kind) for kind in ("M3DDM_OutpaintVideo", "M3DDM_SamplingSettings")
    )
    assert {"target": "1:1", "seed": 7, **QUICK}.items() <= prompt[outpaint]["inputs"].items()
    assert prompt[settings]["inputs"]["preset"] == "fast"
    before = set(server.output.rglob("*.mp4"))
    page.get_by_test_id("queue-button").click()
    page.locator('video[src*="output"]').first.wait_for(state="attached", timeout=A_RUN)
    (written,) = set(server.output.rglob("*.mp4")) - before
    assert facts(written) == (20, (288, 288), True), "no larger on its short side than the clip"
    frontend.shoot("subgraph")
    box = page.locator('video[src*="output"]').first.bounding_box()
    assert box["width"] < 600 and box["height"] < 600, "the player is on its node, not over the whole window"
    assert page.locator(COMPLAINTS).count() == 0
    assert frontend.failures == []
