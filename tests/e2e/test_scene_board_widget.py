"""The rows in M3DDM Scene Board: one run lists the scenes, and what is decided in a row is in the input, the board, the
file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from devtools.server import Server
from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.writer import write_video
from tests.helpers.many_scenes import many_scenes
from tests.helpers.real_frontend import Frontend, api

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]

CLIP, SCENES, LENGTH = "scenes.mp4", 4, 12
SIZE = (72, 128)

# A loader, the board, and an Outpaint Video that it goes to; returns nothing.
BUILD = """async clip => {
    await app.loadGraphData({ version: 0.4, nodes: [], links: [], last_node_id: 40 })
    const add = (type, x, y) => {
        const node = LiteGraph.createNode(type)
        node.pos = [x, y]
        app.graph.add(node)
        return node
    }
    const load = add('LoadVideo', 20, 60)
    const board = add('M3DDM_SceneBoard', 330, 60)
    const outpaint = add('M3DDM_OutpaintVideo', 760, 60)
    load.widgets.find(w => w.name === 'file').value = clip
    load.connect(0, board, 0)
    board.connect(0, outpaint, outpaint.inputs.findIndex(slot => slot.name === 'board'))
    board.setSize([400, 520])
}"""
BOARD = "app.graph.nodes.find(n => n.type === 'M3DDM_SceneBoard')"
OUTPAINT = "app.graph.nodes.find(n => n.type === 'M3DDM_OutpaintVideo')"
DECISIONS = f"{BOARD}.widgets.find(w => w.name === 'decisions')"
# Outpaint Video has no models: only the board is asked for, as with the button above a selected node.
RUN = f"() => app.queuePrompt(0, 1, [String({BOARD}.id)])"


@pytest.fixture(scope="module", params=[False, True], ids=["classic", "modern"])
def frontend(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Frontend]:
    source = many_scenes(SCENES, LENGTH, SIZE)
    write_video(server.base / "input" / CLIP, source.frames(), source.info, encoding=Encoding(quality=4))
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    frontend = Frontend(page, server)
    frontend.open(first_start=False, VueNodes__Enabled=request.param)
    frontend.kind = "modern" if request.param else "classic"
    page.evaluate(BUILD, CLIP)
    frontend.look(300, 0, 1)
    yield frontend
    assert frontend.failures == []
    page.close()
    server.client.post("/settings/Comfy.VueNodes.Enabled", False)


@pytest.fixture(autouse=True)
def nothing_decided(frontend: Frontend) -> None:
    decide(frontend, "")


@pytest.fixture(scope="module")
def rows(frontend: Frontend) -> Any:
    """The rows, once the node has run."""
    api.expect(frontend.page.locator(".m3ddm-board .m3ddm-note")).to_have_text("Run this node to list the scenes.")
    frontend.page.evaluate(RUN)
    rows = frontend.page.locator(".m3ddm-scene")
    api.expect(rows).to_have_count(SCENES)
    return rows


def decide(frontend: Frontend, text: str) -> None:
    """As one who types into the input."""
    frontend.page.evaluate(f"text => {{ {DECISIONS}.value = text }}", text)
    frontend.settle()


def decided(frontend: Frontend) -> list[dict[str, Any]]:
    text = frontend.page.evaluate(f"{DECISIONS}.value")
    return json.loads(text)["scenes"] if text else []


def test_one_run_lists_the_scenes_with_their_pictures(frontend: Frontend, rows: Any) -> None:
    api.expect(rows.nth(1).locator(".m3ddm-scene-name")).to_have_text("2 · frame 12 · 0:00.48 · 12 frames, 0.48 s")
    pictures = rows.locator("img")
    api.expect(pictures).to_have_count(4 * SCENES)
    widths = pictures.evaluate_all(
        "all => Promise.all(all.map(image => image.decode().then(() => image.naturalWidth)))"
    )
    assert len(set(widths)) == 1 and widths[0] > 300
    # The target is that of the node that the board goes to: 16:9 around a tall source.
    stage, source = rows.nth(0).locator(".m3ddm-scene-stage"), rows.nth(0).locator(".m3ddm-scene-source")
    outer, inner = stage.bounding_box(), source.bounding_box()
    assert outer["width"] / outer["height"] == pytest.approx(16 / 9, rel=0.05)
    assert inner["x"] + inner["width"] / 2 == pytest.approx(outer["x"] + outer["width"] / 2, abs=2)
    frontend.shoot(f"scene_board_{frontend.kind}")


def test_a_source_that_is_dragged_has_an_anchor_of_its_own(frontend: Frontend, rows: Any) -> None:
    source = rows.nth(2).locator(".m3ddm-scene-source")
    box = source.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    frontend.page.mouse.move(x, y)
    frontend.page.mouse.down()
    frontend.page.mouse.move(x - 10, y)
    frontend.page.mouse.move(x - 20, y)
    frontend.page.mouse.up()
    (entry,) = decided(frontend)
    assert entry["first"] == 24 and 0.1 < entry["anchor"][0] < 0.4 and set(entry) == {"first", "anchor"}
    assert source.bounding_box()["x"] == pytest.approx(box["x"] - 20, abs=1.5)
    frontend.shoot(f"scene_board_dragged_{frontend.kind}")
    source.focus()
    frontend.page.keyboard.press("ArrowLeft")
    assert decided(frontend)[0]["anchor"][0] == pytest.approx(entry["anchor"][0] - 0.05, abs=0.001)
    source.dblclick()
    assert decided(frontend) == []


def test_seed_and_leave_are_written_and_taken_back(frontend: Frontend, rows: Any) -> None:
    row = rows.nth(1)
    row.locator(".m3ddm-scene-again").click()
    (entry,) = decided(frontend)
    assert entry["first"] == 12 and 0 <= entry["seed"] < 2**32
    row.locator(".m3ddm-scene-seed").fill("77")
    row.locator(".m3ddm-scene-seed").press("Tab")
    assert decided(frontend) == [{"first": 12, "seed": 77}]
    rows.nth(3).locator("input[type=checkbox]").check()
    assert decided(frontend) == [{"first": 12, "seed": 77}, {"first": 36, "leave": True}]
    api.expect(rows.nth(3).locator(".m3ddm-scene-again")).to_be_disabled()
    frontend.shoot(f"scene_board_decided_{frontend.kind}")
    rows.nth(3).locator("input[type=checkbox]").uncheck()
    row.locator(".m3ddm-scene-seed").fill("")
    row.locator(".m3ddm-scene-seed").press("Tab")
    assert decided(frontend) == []


def test_what_others_have_written_is_shown_and_kept(frontend: Frontend, rows: Any) -> None:
    decide(frontend, '{"cuts": [12, 24, 36], "scenes": [{"first": 24, "guides": {"0": "a.png"}, "anchor": "left"}]}')
    source, stage = (rows.nth(2).locator(f".m3ddm-scene-{part}") for part in ("source", "stage"))
    assert source.bounding_box()["x"] == pytest.approx(stage.bounding_box()["x"] + 1, abs=1.5)
    rows.nth(0).locator("input[type=checkbox]").check()
    text = frontend.page.evaluate(f"{DECISIONS}.value")
    assert json.loads(text) == {
        "cuts": [12, 24, 36],
        "scenes": [{"first": 0, "leave": True}, {"first": 24, "guides": {"0": "a.png"}, "anchor": "left"}],
    }
    for unreadable in ("{", '{"scenes": [{"first": 0, "seed": 18446744073709551615}]}'):
        decide(frontend, unreadable)
        api.expect(frontend.page.locator(".m3ddm-board .m3ddm-note")).to_contain_text("cannot be read here")
        api.expect(rows.nth(0).locator(".m3ddm-scene-again")).to_be_disabled()
        assert frontend.page.evaluate(f"{DECISIONS}.value") == unreadable


def test_more_rows_than_there_is_room_for_are_scrolled_to(frontend: Frontend, rows: Any) -> None:
    frontend.page.evaluate(f"() => {{ {BOARD}.setSize([400, 330]); app.canvas.setDirty(true, true) }}")
    frontend.settle()
    scenes = frontend.page.locator(".m3ddm-scenes")
    frontend.shoot(f"scene_board_small_{frontend.kind}")
    whole, room = scenes.evaluate("list => [list.scrollHeight, list.clientHeight]")
    assert whole > room + 50
    scale = frontend.page.evaluate("app.canvas.ds.scale")
    rows.nth(0).locator(".m3ddm-scene-name").click()
    frontend.page.mouse.wheel(0, 400)
    frontend.page.wait_for_function("() => document.querySelector('.m3ddm-scenes').scrollTop > 50")
    frontend.settle()
    assert frontend.page.evaluate("app.canvas.ds.scale") == scale
    frontend.page.evaluate(f"{BOARD}.setSize([400, 520])")


def test_the_wire_ends_where_the_input_is_seen(frontend: Frontend, rows: Any) -> None:
    heights = """() => {
        const node = app.graph.nodes.find(n => n.type === 'M3DDM_OutpaintVideo')
        const height = name => node.getInputPos(node.inputs.findIndex(slot => slot.name === name))[1]
        return [height('fleet'), height('board'), node.pos[1] + node.size[1]]
    }"""
    frontend.settle()
    socket, board, bottom = frontend.page.evaluate(heights)
    assert socket + 50 < board < bottom
    # What nobody has changed is not laid out anew. A modern node's size is that of its body.
    frontend.page.evaluate(f"{OUTPAINT}.setSize([400, 800])")
    frontend.settle()
    assert frontend.page.evaluate(f"{OUTPAINT}.size[1]") > 700


def test_what_was_decided_is_saved_and_sent(frontend: Frontend, rows: Any) -> None:
    rows.nth(1).locator("input[type=checkbox]").check()
    saved, prompt = frontend.graph()
    (node,) = (node for node in saved["nodes"] if node["type"] == "M3DDM_SceneBoard")
    assert node["widgets_values"] == [True, 0.25, '{"scenes": [\n  {"first":12,"leave":true}\n ]}'], "and no rows"
    asked = {key: entry for key, entry in prompt.items() if entry["class_type"] in ("LoadVideo", "M3DDM_SceneBoard")}
    (shown,) = frontend.server.client.run(asked).outputs.values()
    assert [scene[:2] for scene in shown["scenes"]] == [[first, LENGTH] for first in range(0, SCENES * LENGTH, LENGTH)]
