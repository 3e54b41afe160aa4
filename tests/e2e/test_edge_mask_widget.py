"""The drawing in M3DDM Edge Mask can be dragged, and leaves no trace in files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from devtools.server import Server
from tests.helpers.edge_mask_page import CLIP, NODE, TARGET, EdgeMask
from tests.helpers.real_frontend import Frontend, api

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture(scope="module")
def frontend(browser: Browser, server: Server) -> Iterator[Frontend]:
    """One page for all tests: each builds its own graph in it."""
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    frontend = Frontend(page, server)
    frontend.open(first_start=False)
    yield frontend
    page.close()


@pytest.fixture(autouse=True)
def no_failures(frontend: Frontend) -> Iterator[None]:
    yield
    assert frontend.failures == []


@pytest.fixture
def mask(frontend: Frontend) -> EdgeMask:
    """The node behind the clip that ships with the pack, when its size has been read from the file."""
    mask = EdgeMask(frontend, "big_buck_bunny.mp4")
    api.expect(mask.source).to_contain_text("288×360")
    return mask


def test_it_draws_the_clip_before_the_first_run(mask: EdgeMask) -> None:
    assert mask.facts.inner_text() == "Target 640×360, canvas 256×256 (latents 32×32), 2.8 MB a frame"
    scale, box = mask.drawn()
    assert box == pytest.approx([176, 0, *CLIP], abs=1.5 / scale)
    assert mask.source.locator("video").evaluate("v => [v.videoWidth, v.videoHeight]") == list(CLIP)
    mask.frontend.shoot("edge_mask_before")


def test_it_tells_how_large_the_result_is(mask: EdgeMask) -> None:
    _, before = mask.drawn()
    mask.set(result_size="automatic")
    said = "Target 512×288, source scaled to 230×288, canvas 256×256 (latents 32×32), 1.8 MB a frame"
    assert mask.facts.inner_text() == said
    mask.set(result_size="height", result_pixels=1080)
    assert mask.facts.inner_text().startswith("Target 1920×1080, source scaled to 864×1080,")
    # The shape is the same, and what is dragged counts in the source's own pixels.
    mask.drag(mask.source, 2000, 0)
    assert mask.values()["offset_x"] == TARGET[0] - CLIP[0]
    assert before[2:] == pytest.approx(CLIP, abs=3)
    mask.frontend.shoot("edge_mask_result_size")


def test_a_file_name_may_hold_a_line_break(frontend: Frontend) -> None:
    """ComfyUI's server does not hand out such a file, so that its size stays unknown; all else goes on."""
    mask = EdgeMask(frontend, "line\nbreak [x].mp4")
    api.expect(mask.source).to_contain_text("?")
    mask.set(target="1:1")
    assert mask.facts.inner_text().startswith("Target ")


def test_dragging_the_source_sets_the_offset(mask: EdgeMask) -> None:
    scale, _ = mask.drawn()
    mask.drag(mask.source, 40 * scale, 25)
    values = mask.values()
    assert values["anchor"] == "offset" and values["offset_y"] == 0
    assert values["offset_x"] == pytest.approx(216, abs=1 + 1 / scale)
    assert mask.drawn()[1][0] == pytest.approx(values["offset_x"], abs=1.5 / scale)
    mask.drag(mask.source, -2000, 0)
    assert mask.values()["offset_x"] == 0
    mask.drag(mask.source, 2000, 0)
    assert mask.values()["offset_x"] == TARGET[0] - CLIP[0]
    mask.frontend.shoot("edge_mask_dragged")
    mask.source.dblclick()
    assert mask.values()["anchor"] == "center"
    assert mask.drawn()[1][0] == pytest.approx(176, abs=1.5 / scale)


def test_a_drag_counts_the_zoom_and_can_be_undone(mask: EdgeMask) -> None:
    mask.frontend.look(500, 0, 1.5)
    scale, _ = mask.drawn()
    mask.drag(mask.source, 50 * scale, 0)
    assert mask.values()["offset_x"] == pytest.approx(226, abs=1 + 1 / scale)
    mask.undo("anchor", "center")


def test_typed_numbers_move_the_drawing(mask: EdgeMask) -> None:
    mask.set(anchor="offset", offset_x=20)
    scale, box = mask.drawn()
    assert box[0] == pytest.approx(20, abs=1.5 / scale)
    mask.set(target="pixels", left=100, bottom=60, canvas_shape="target", size_multiple=8)
    assert mask.facts.inner_text().startswith("Target 392×424, canvas 240×256")  # 388 and 420, rounded up by the border
    scale, box = mask.drawn()
    assert box[:2] == pytest.approx([104, 0], abs=1.5 / scale)
    mask.set(target="16:9", offset_x=500)
    api.expect(mask.note).to_contain_text("expected 0 to 352")


def test_the_sides_can_be_pulled_where_pixels_are_asked_for(mask: EdgeMask) -> None:
    assert not mask.edge("right").is_visible()
    mask.set(target="pixels", size_multiple=4)
    mask.set(left=0, right=0)
    scale, _ = mask.drawn()
    mask.drag(mask.edge("right"), 100 * scale, 0)
    pulled = mask.values()["right"]
    assert pulled == pytest.approx(100, abs=4 + 1 / scale) and (CLIP[0] + pulled) % 4 == 0
    scale, _ = mask.drawn()
    mask.drag(mask.edge("top"), 0, -40 * scale)
    values = mask.values()
    assert values["top"] == pytest.approx(40, abs=4 + 1 / scale) and (values["left"], values["bottom"]) == (0, 0)
    assert mask.facts.inner_text().startswith(f"Target {288 + pulled}×{360 + values['top']},")
    mask.frontend.shoot("edge_mask_pixels")
    # What is added to the one side is taken from the other when the source is moved.
    scale, _ = mask.drawn()
    mask.drag(mask.source, 30 * scale, 0)
    moved = mask.values()
    assert moved["left"] == pytest.approx(30, abs=1 + 1 / scale) and moved["left"] + moved["right"] == pulled
    mask.drag(mask.edge("top"), 0, 500)
    assert mask.values()["top"] == 0
    assert mask.values()["anchor"] == "center"


def test_pixels_begin_with_the_sides_that_were_drawn(mask: EdgeMask) -> None:
    mask.set(anchor="offset", offset_x=20)
    mask.set(target="pixels")
    values = mask.values()
    assert [values[side] for side in ("left", "top", "right", "bottom")] == [20, 0, TARGET[0] - CLIP[0] - 20, 0]
    api.expect(mask.note).to_have_text("")
    mask.set(left=0, right=0)
    api.expect(mask.note).to_contain_text("Nothing to outpaint")
    mask.set(target="1:1")
    mask.set(target="pixels", bottom=8)
    assert [mask.values()[side] for side in ("left", "right", "bottom")] == [0, 0, 8], "numbers that are there stay"


def test_arrow_keys_move_by_the_size_multiple(mask: EdgeMask) -> None:
    mask.set(size_multiple=4)
    mask.source.focus()
    mask.page.keyboard.press("ArrowRight")
    assert (mask.values()["anchor"], mask.values()["offset_x"]) == ("offset", 180)
    mask.page.keyboard.press("Shift+ArrowLeft")
    mask.page.keyboard.press("ArrowDown")
    assert (mask.values()["offset_x"], mask.values()["offset_y"]) == (140, 0)
    mask.undo("offset_x", 180)
    mask.set(target="pixels")
    mask.set(left=0, right=0)
    mask.edge("left").focus()
    mask.page.keyboard.press("ArrowLeft")
    mask.page.keyboard.press("Shift+ArrowLeft")
    mask.page.keyboard.press("ArrowRight")
    assert mask.values()["left"] == 40
    assert mask.edge("left").get_attribute("aria-valuenow") == "40"


def test_without_a_file_it_says_that_it_does_not_know_the_size(frontend: Frontend) -> None:
    mask = EdgeMask(frontend, None)
    api.expect(mask.note).to_contain_text("not known before the first run")
    assert mask.source.inner_text() == "?"
    scale, box = mask.drawn()
    assert box[2] / box[3] == pytest.approx(16 / 9, abs=0.02)
    mask.set(target="9:16")
    before = mask.values()
    mask.drag(mask.source, 0, 30 * scale)
    assert mask.values() == before
    mask.frontend.shoot("edge_mask_unknown")


def test_the_files_of_other_packs_loaders_are_drawn(frontend: Frontend) -> None:
    """As VideoHelperSuite's: a list of files, and numbers that are 0 while nothing is resized."""
    mask = EdgeMask(frontend, None)
    mask.page.evaluate(
        f"""() => {{
            LiteGraph.registerNodeType('VHS_LoadVideo', class extends LGraphNode {{
                constructor() {{
                    super('Load Video (Upload)')
                    this.addOutput('IMAGE', 'IMAGE')
                    const values = ['big_buck_bunny.mp4']
                    this.addWidget('combo', 'video', values[0], () => {{}}, {{ values }})
                    this.addWidget('number', 'custom_width', 0, () => {{}}, {{}})
                }}
            }})
            window.loader = LiteGraph.createNode('VHS_LoadVideo')
            app.graph.add(loader)
            loader.connect(0, {NODE}, 0)
        }}"""
    )
    api.expect(mask.source).to_contain_text("288×360")
    mask.page.evaluate("() => { loader.widgets[1].value = 512 }")
    api.expect(mask.source).to_have_text("?")


def test_a_wired_number_cannot_be_dragged(mask: EdgeMask) -> None:
    mask.page.evaluate(
        f"""() => {{
            const number = LiteGraph.createNode('PrimitiveInt')
            app.graph.add(number)
            number.connect(0, {NODE}, {NODE}.inputs.findIndex(i => i.name === 'offset_x'))
        }}"""
    )
    api.expect(mask.note).to_contain_text("offset_x")
    before = mask.values()
    mask.drag(mask.source, 40, 0)
    assert mask.values() == before


def test_the_run_tells_the_size(frontend: Frontend) -> None:
    """Frames that the browser cannot see: after the run their size is known."""
    mask = EdgeMask(frontend, "big_buck_bunny.mp4")
    mask.page.evaluate(
        f"""() => {{
            const scale = LiteGraph.createNode('ImageScale')
            app.graph.add(scale)
            for (const [name, value] of [['width', 96], ['height', 72]])
                scale.widgets.find(w => w.name === name).value = value
            app.graph.nodes.find(n => n.type === 'GetVideoComponents').connect(0, scale, 0)
            scale.connect(0, {NODE}, 0)
        }}"""
    )
    mask.set(first_frames=2, canvas_size=64)
    api.expect(mask.source).to_have_text("?")
    mask.page.get_by_test_id("queue-button").click()
    api.expect(mask.source).to_contain_text("96×72")
    assert mask.facts.inner_text().startswith("Target 128×72,")
    mask.page.wait_for_function(f"() => {NODE}.imgs?.length")
    mask.frontend.shoot("edge_mask_after")
    # A page that knows nothing yet is told by the next run, in which nothing is computed again.
    frontend.open(first_start=False)
    api.expect(mask.source).to_have_text("?")
    mask.page.get_by_test_id("queue-button").click()
    api.expect(mask.source).to_contain_text("96×72")


def test_nothing_of_it_is_in_the_workflow_or_the_prompt(mask: EdgeMask) -> None:
    saved, prompt = mask.frontend.graph()
    (node,) = [node for node in saved["nodes"] if node["type"] == "M3DDM_EdgeMask"]
    (sent,) = [entry for entry in prompt.values() if entry["class_type"] == "M3DDM_EdgeMask"]
    names = [name for name in mask.values() if name in sent["inputs"]]
    assert node["widgets_values"] == [sent["inputs"][name] for name in names] and len(names) == 17
    assert set(sent["inputs"]) == {*names, "images"}
    assert "placement_view" not in str(saved)


def test_it_is_there_with_the_modern_nodes_too(frontend: Frontend) -> None:
    frontend.open(first_start=False, VueNodes__Enabled=True)
    try:
        mask = EdgeMask(frontend, "big_buck_bunny.mp4")
        api.expect(mask.source).to_contain_text("288×360")
        mask.frontend.shoot("edge_mask_modern")
        scale, _ = mask.drawn()
        place_of_node = f"[...{NODE}.pos]"
        before = mask.page.evaluate(place_of_node)
        mask.drag(mask.source, 40 * scale, 0)
        assert mask.values()["offset_x"] == pytest.approx(216, abs=1 + 1 / scale)
        assert mask.page.evaluate(place_of_node) == before
    finally:
        frontend.server.client.post("/settings/Comfy.VueNodes.Enabled", False)
