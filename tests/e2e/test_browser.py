"""The real frontend in a real browser: the templates open without a complaint, and one of them runs to its video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devtools import templates, workflow
from devtools.server import Server
from tests.helpers.real_frontend import A_RUN, COMPLAINTS, Frontend, api, load
from tests.helpers.template_files import EACH

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture(scope="module")
def frontend(browser: Browser, ready: Server) -> Iterator[Frontend]:
    """One page, in which one template after the other is opened."""
    page = browser.new_page(viewport={"width": 1700, "height": 950})
    frontend = Frontend(page, ready)
    frontend.open()
    yield frontend
    page.close()


def kept(graph: dict[str, Any]) -> dict[int, tuple[Any, ...]]:
    """What must come through opening and saving: each node's kind, place, values and slots."""
    return {
        node["id"]: (
            node["type"],
            node["pos"],
            node.get("widgets_values") or [],
            [(slot["name"], slot["type"], slot.get("link")) for slot in node.get("inputs", [])],
            [(slot["name"], slot["type"], slot.get("links") or None) for slot in node.get("outputs", [])],
        )
        for node in graph["nodes"]
    }


def inputs(prompt: dict[str, Any]) -> dict[str, Any]:
    """Each node's kind and inputs, without the player that the frontend counts among those of the clip's loader."""
    return {
        node: (entry["class_type"], {k: v for k, v in entry["inputs"].items() if k != "video-preview"})
        for node, entry in prompt.items()
    }


@EACH
def test_a_template_opens_without_a_complaint(template: Path, frontend: Frontend, object_info: dict[str, Any]) -> None:
    name = template.stem
    frontend.open_template(name)
    frontend.shoot(f"opened_{name}")
    unknown = "app.graph.nodes.filter(n => n.has_errors || !LiteGraph.registered_node_types[n.type])"
    assert frontend.page.evaluate(f"{unknown}.map(n => n.type)") == []
    assert not frontend.page.get_by_role("dialog").is_visible()
    frontend.leave_app()
    saved, prompt = frontend.graph()
    assert kept(saved) == kept(load(name))
    # The server tests convert workflows themselves: this is what holds their converter to the frontend's.
    assert inputs(prompt) == inputs(workflow.to_prompt(load(name), object_info))
    frontend.look(0, -60, 0.85)
    frontend.shoot(f"left_{name}")
    frontend.look(1500, -60, 0.85)
    frontend.shoot(f"right_{name}")
    assert frontend.page.locator(COMPLAINTS).count() == 0, frontend.page.locator(COMPLAINTS).all_inner_texts()
    assert frontend.failures == []


def test_a_template_runs_and_shows_its_video(frontend: Frontend, ready: Server) -> None:
    frontend.open_template(templates.titled("Step by step").stem)
    frontend.page.evaluate(
        """() => {
            const set = (type, name, value) => {
                const node = app.graph.nodes.find(n => n.type === type)
                node.widgets.find(w => w.name === name).value = value
            }
            set('M3DDM_SamplingSettings', 'preset', 'custom')
            set('M3DDM_SamplingSettings', 'steps', 1)
            set('M3DDM_EdgeMask', 'canvas_size', 64)
            set('M3DDM_EdgeMask', 'first_frames', 20)
            set('M3DDM_EncodeGlobalFrames', 'count', 2)
        }"""
    )
    before = set(ready.output.rglob("*.mp4"))
    frontend.page.get_by_test_id("queue-button").click()
    # The node that saves the video gets a player when it has run; the one that loads the clip had its own before.
    video = frontend.page.locator('video[src*="m3ddm_outpaint"]')
    video.first.wait_for(state="attached", timeout=A_RUN)
    (written,) = set(ready.output.rglob("*.mp4")) - before
    frontend.look(1500, -60, 0.85)
    api.expect(video.first).to_be_visible()
    frontend.page.wait_for_function("() => document.querySelector('video[src*=\"m3ddm_outpaint\"]').readyState >= 2")
    size = video.first.evaluate("v => [v.videoWidth, v.videoHeight, v.duration]")
    assert written.name in video.first.get_attribute("src")
    assert size[:2] == [512, 288] and size[2] == pytest.approx(20 / 25, abs=0.1)
    shown = frontend.page.evaluate(
        "() => app.graph.nodes.filter(n => n.imgs?.length).map(n => [n.type, n.imgs.length])"
    )
    assert dict(shown).get("PreviewImage") == 20 and "M3DDM_EdgeMask" in dict(shown)
    frontend.shoot("result_right")
    frontend.look(0, -60, 0.85)
    frontend.shoot("result_left")
    assert frontend.page.locator(COMPLAINTS).count() == 0
    assert frontend.failures == []
