"""One press of Run after installation: a server with the pack and nothing else, and what a newcomer does there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from devtools import host as hosts
from devtools import shipped, templates
from devtools.server import Server
from tests.e2e.test_subgraph import facts
from tests.helpers.real_frontend import A_RUN, COMPLAINTS, Frontend, api

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]

TEMPLATE = templates.titled("1 Try it now").stem


@pytest.fixture(scope="module")
def fresh(host: hosts.Host) -> Iterator[Server]:
    """No models, no clips."""
    with Server(host, models={}, inputs=[]) as running:
        yield running


@pytest.fixture
def frontend(browser: Browser, fresh: Server) -> Iterator[Frontend]:
    page = browser.new_page(viewport={"width": 1700, "height": 950})
    frontend = Frontend(page, fresh)
    yield frontend
    page.close()


def test_the_template_runs_as_it_is(frontend: Frontend, fresh: Server) -> None:
    assert not list((fresh.base / "input").rglob("*.mp4"))
    frontend.open()
    page = frontend.page
    frontend.open_template(TEMPLATE)
    assert page.locator(COMPLAINTS).count() == 0, page.locator(COMPLAINTS).all_inner_texts()
    frontend.look(0, -60, 0.66)
    frontend.shoot("try_it_now_opened")
    began = time.monotonic()
    page.get_by_test_id("queue-button").click()
    video = page.locator('video[src*="m3ddm_try_it_now"]')
    video.first.wait_for(state="attached", timeout=A_RUN)
    print(f"from Run to the video: {time.monotonic() - began:.0f} s")
    (written,) = fresh.output.rglob("*.mp4")
    assert facts(written) == (64, (512, 288), True)
    frontend.look(0, -60, 0.66)
    api.expect(video.first).to_be_visible()
    frontend.shoot("try_it_now_result")
    assert page.locator(COMPLAINTS).count() == 0
    assert frontend.failures == []


def test_it_is_the_first_of_the_pack(frontend: Frontend) -> None:
    frontend.open()
    frontend.dialog().get_by_text(hosts.PACK_NAME, exact=True).first.click()
    cards = frontend.dialog().locator("[data-testid^=template-workflow-]")
    api.expect(cards).to_have_count(len(templates.TEMPLATES))
    shown = [cards.nth(number).get_attribute("data-testid") for number in range(len(templates.TEMPLATES))]
    names = sorted(template.stem for template in templates.TEMPLATES)
    assert shown == [f"template-workflow-{name}" for name in names] and names[0] == TEMPLATE
    frontend.shoot("templates_first")


def test_a_file_from_before_presets_keeps_its_numbers(frontend: Frontend) -> None:
    """A new node leaves them to the checkpoint; a file that has no value for the preset meant its own."""
    frontend.open(first_start=False)
    presets = """graph => {
        if (graph) return app.loadGraphData(graph).then(() => read())
        const node = LiteGraph.createNode("M3DDM_SamplingSettings")
        app.graph.add(node)
        return read()
        function read() {
            const nodes = app.graph.nodes.filter(n => n.type === "M3DDM_SamplingSettings")
            return nodes.map(n => n.widgets.find(w => w.name === "preset").value)
        }
    }"""
    old, new = (
        json.loads((shipped.FOLDER / version / "short_clip.json").read_text(encoding="utf-8"))
        for version in ("0.1.0", "0.2.0")
    )
    assert frontend.page.evaluate(presets, old) == ["custom"]
    assert frontend.page.evaluate(presets, new) == ["custom"]
    frontend.page.evaluate("() => app.loadGraphData({ version: 0.4, nodes: [], links: [] })")
    assert frontend.page.evaluate(presets, None) == ["checkpoint"]
    assert frontend.failures == []
