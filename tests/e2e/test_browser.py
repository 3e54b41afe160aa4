"""The real frontend in a real browser: the templates open without a complaint, and one of them runs to its video."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from devtools import templates, workflow
from devtools.host import PACK, PACK_NAME
from devtools.server import Server
from devtools.weights import Weights

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

# A user's own ComfyUI need not have it; the host that run.py makes does.
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed beside this ComfyUI")

pytestmark = [pytest.mark.server, pytest.mark.browser]

SCREENSHOTS = PACK / "test_output" / "browser"
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "msedge")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 1000.0  # playwright counts in milliseconds
# What the frontend shows where a node, a model or an input file of a workflow is missing, or where a run failed.
COMPLAINTS = '[data-testid="error-overlay"], [data-testid="missing-node-card"], [data-testid="missing-model-actions"]'


@pytest.fixture(scope="module")
def ready(server: Server, small_models: Weights) -> Server:
    """The server, with every file there that the templates name."""
    templates.provide(server.base, small_models.checkpoint, small_models.vae)
    return server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, headless: the one that ``CHROMIUM`` names, the system's, or playwright's own."""
    named = os.environ.get("CHROMIUM")
    executable = named or next(filter(None, map(shutil.which, EXECUTABLES)), None)
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        except api.Error as error:
            pytest.fail(
                f"No browser could be started ({executable or 'none found'}): {error.message.splitlines()[0]}\n"
                "Install Chromium or Chrome, or set CHROMIUM to one, or run `python -m playwright install chromium`."
            )
        yield browser
        browser.close()


class Frontend:
    """One page with ComfyUI's frontend, and what its console and its network told."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page, self.server = page, server
        self.failures: list[str] = []
        page.set_default_timeout(30 * SECONDS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.failures.append(f"uncaught: {error}"))
        page.on("response", lambda answer: self._response(answer.status, answer.url))

    def _console(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        if message.type == "error" and any(word in message.text + where for word in (PACK_NAME, "M3DDM", "m3ddm")):
            self.failures.append(f"console: {message.text} ({where})")

    def _response(self, status: int, url: str) -> None:
        if status >= 400 and PACK_NAME in url:
            self.failures.append(f"{status}: {url}")

    def open(self) -> None:
        """Load it as on its very first start, which is with an empty graph and the template browser open."""
        self.server.client.post("/settings/Comfy.TutorialCompleted", False)
        self.page.goto(f"http://{self.server.client.host}:{self.server.client.port}/", wait_until="domcontentloaded")
        self._dialog().wait_for(timeout=90 * SECONDS)

    def _dialog(self) -> Any:
        return self.page.get_by_role("dialog").first

    def open_template(self, name: str) -> None:
        """Find it in the template browser under the pack's name, and click it."""
        if not self._dialog().is_visible():
            self.page.get_by_test_id("side-toolbar").get_by_text("Templates", exact=True).click()
        self._dialog().get_by_text(PACK_NAME, exact=True).first.click()
        cards = self._dialog().locator("[data-testid^=template-workflow-]")
        api.expect(cards).to_have_count(len(templates.TEMPLATES))
        card = self.page.get_by_test_id(f"template-workflow-{name}")
        picture = card.locator("img").first
        picture.wait_for()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        self.shoot(f"templates_{name}")
        card.click()
        self._dialog().wait_for(state="hidden")
        self.page.wait_for_function("count => app.graph.nodes.length === count", arg=len(load(name)["nodes"]))
        # Missing models and files are looked for after the graph is there.
        self.page.wait_for_timeout(1.5 * SECONDS)

    def shoot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"))

    def look(self, left: float, top: float, scale: float) -> None:
        """Move the canvas so that this point of the graph is near its upper left corner."""
        self.page.evaluate(
            "([x, y, s]) => { app.canvas.ds.scale = s; app.canvas.ds.offset = [70 / s - x, 60 / s - y];"
            " app.canvas.setDirty(true, true) }",
            [left, top, scale],
        )
        self.page.wait_for_timeout(1 * SECONDS)

    def graph(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The graph as the frontend would save it, and the prompt that it would send."""
        both = self.page.evaluate("async () => JSON.stringify(await app.graphToPrompt())")
        return json.loads(both)["workflow"], json.loads(both)["output"]


@pytest.fixture
def frontend(browser: Browser, ready: Server) -> Iterator[Frontend]:
    page = browser.new_page(viewport={"width": 1700, "height": 950})
    frontend = Frontend(page, ready)
    frontend.open()
    yield frontend
    page.close()


def load(name: str) -> dict[str, Any]:
    return json.loads((templates.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


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


def test_every_template_opens_without_a_complaint(frontend: Frontend, ready: Server) -> None:
    object_info = ready.client.object_info()
    for template in templates.TEMPLATES:
        name = template.stem
        frontend.open_template(name)
        frontend.shoot(f"opened_{name}")
        unknown = "app.graph.nodes.filter(n => n.has_errors || !LiteGraph.registered_node_types[n.type])"
        assert frontend.page.evaluate(f"{unknown}.map(n => n.type)") == [], name
        assert frontend.page.locator(COMPLAINTS).count() == 0, (
            f"{name}: {frontend.page.locator(COMPLAINTS).all_inner_texts()}"
        )
        assert not frontend.page.get_by_role("dialog").is_visible()
        saved, prompt = frontend.graph()
        assert kept(saved) == kept(load(name)), name
        # The server tests convert workflows themselves: this is what holds their converter to the frontend's.
        assert inputs(prompt) == inputs(workflow.to_prompt(load(name), object_info)), name
        frontend.look(0, -60, 0.85)
        frontend.shoot(f"left_{name}")
        frontend.look(1500, -60, 0.85)
        frontend.shoot(f"right_{name}")
    assert frontend.failures == []


def test_a_template_runs_and_shows_its_video(frontend: Frontend, ready: Server) -> None:
    frontend.open_template("outpaint_a_video")
    frontend.page.evaluate(
        """() => {
            const set = (type, name, value) => {
                const node = app.graph.nodes.find(n => n.type === type)
                node.widgets.find(w => w.name === name).value = value
            }
            set('M3DDM_SamplingSettings', 'steps', 1)
            set('M3DDM_EdgeMask', 'canvas_size', 128)
        }"""
    )
    before = set(ready.output.rglob("*.mp4"))
    frontend.page.get_by_test_id("queue-button").click()
    # The node that saves the video gets a player when it has run; the one that loads the clip had its own before.
    video = frontend.page.locator('video[src*="m3ddm_outpaint"]')
    video.first.wait_for(state="attached", timeout=300 * SECONDS)
    (written,) = set(ready.output.rglob("*.mp4")) - before
    frontend.look(1500, -60, 0.85)
    api.expect(video.first).to_be_visible()
    frontend.page.wait_for_function("() => document.querySelector('video[src*=\"m3ddm_outpaint\"]').readyState >= 2")
    size = video.first.evaluate("v => [v.videoWidth, v.videoHeight, v.duration]")
    assert written.name in video.first.get_attribute("src")
    assert size[:2] == [640, 360] and size[2] == pytest.approx(64 / 25, abs=0.1)
    shown = frontend.page.evaluate(
        "() => app.graph.nodes.filter(n => n.imgs?.length).map(n => [n.type, n.imgs.length])"
    )
    assert dict(shown).get("PreviewImage") == 64 and "M3DDM_EdgeMask" in dict(shown)
    frontend.shoot("result_right")
    frontend.look(0, -60, 0.85)
    frontend.shoot("result_left")
    assert frontend.page.locator(COMPLAINTS).count() == 0
    assert frontend.failures == []
