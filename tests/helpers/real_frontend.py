"""ComfyUI's frontend in a real browser. Whoever imports this is skipped where there is no playwright."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from devtools import templates
from devtools.host import PACK, PACK_NAME
from devtools.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

# A user's own ComfyUI need not have it; the host that run.py makes does.
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed beside this ComfyUI")

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
# Only end what hangs: a busy machine may be slow.
PATIENCE, A_RUN = 120 * SECONDS, 1800 * SECONDS
api.expect.set_options(timeout=PATIENCE)
# The pack's parts look for changes five times a second (nodes/web/in_node.js), what they do then may be another change,
# and the graph is drawn in the frame after. Timers of a page end in their order, however busy it is.
SETTLED = """async () => {
    for (let round = 0; round < 2; round++) {
        await new Promise(done => setTimeout(done, 220))
        for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame)
    }
}"""
# The frontend may still be at bringing a graph into sight that has just come: what it does then is undone.
LOOK = f"""async ([x, y, scale]) => {{
    const settled = {SETTLED}, view = app.canvas.ds, offset = [70 / scale - x, 60 / scale - y]
    const wanted = [scale, ...offset]
    const isThere = () => [view.scale, ...view.offset].every((one, place) => Math.abs(one - wanted[place]) < 0.01)
    do {{
        view.scale = scale
        view.offset = [...offset]
        app.canvas.setDirty(true, true)
        await settled()
    }} while (!isThere())
}}"""
# What the frontend shows where a node, a model or an input file of a workflow is missing, or where a run failed.
COMPLAINTS = '[data-testid="error-overlay"], [data-testid="missing-node-card"], [data-testid="missing-model-actions"]'


@contextmanager
def launch() -> Iterator[Browser]:
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
        page.set_default_timeout(PATIENCE)
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

    def open(self, *, first_start: bool = True, **settings: Any) -> None:
        """Load it as on its very first start, which is with an empty graph and the template browser open; else with
        some graph and nothing over it. ``settings`` are the frontend's, with ``__`` for each dot."""
        # Newer frontends show round whoever sees an app for the first time.
        wanted = {"Comfy.TutorialCompleted": not first_start, "Comfy.OnboardingCoachmarks.Seen": ["appMode"]}
        wanted |= {f"Comfy.{name.replace('__', '.')}": value for name, value in settings.items()}
        for name, value in wanted.items():
            self.server.client.post(f"/settings/{name}", value)
        self.page.goto(f"http://{self.server.client.host}:{self.server.client.port}/", wait_until="domcontentloaded")
        if first_start:
            self.dialog().wait_for()
        else:
            # The graph that was open last, or the frontend's own, is the last thing to come; it may be an empty one.
            ready = "() => window.app?.canvas?.graph && window.app.extensionManager?.workflow?.activeWorkflow"
            self.page.wait_for_function(ready)
            self.page.wait_for_timeout(1.5 * SECONDS)

    def dialog(self) -> Any:
        return self.page.get_by_role("dialog").first

    def open_template(self, name: str) -> None:
        """Find it in the template browser under the pack's name, and click it."""
        self.leave_app()
        if not self.dialog().is_visible():
            self.page.get_by_test_id("side-toolbar").get_by_text("Templates", exact=True).click()
        self.dialog().get_by_text(PACK_NAME, exact=True).first.click()
        cards = self.dialog().locator("[data-testid^=template-workflow-]")
        api.expect(cards).to_have_count(len(templates.TEMPLATES))
        card = self.page.get_by_test_id(f"template-workflow-{name}")
        # Thumbnails are fetched when they come into sight.
        card.scroll_into_view_if_needed()
        picture = card.locator("img").first
        picture.wait_for()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        self.shoot(f"templates_{name}")
        self.page.evaluate("() => { for (const node of app.graph.nodes) node.isOfBefore = true }")
        card.click()
        self.dialog().wait_for(state="hidden")
        there = "count => app.graph.nodes.length === count && !app.graph.nodes.some(node => node.isOfBefore)"
        self.page.wait_for_function(there, arg=len(load(name)["nodes"]))
        # Missing models and files are looked for after the graph is there: complaints may still come.
        self.settle()

    def leave_app(self) -> None:
        """Show the graph where an app's form is shown."""
        if self.page.get_by_test_id("linear-widgets").is_visible():
            self.page.evaluate("() => app.extensionManager.command.execute('Comfy.ToggleLinear')")
            self.page.get_by_test_id("linear-widgets").wait_for(state="hidden")

    def shoot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"))

    def look(self, left: float, top: float, scale: float) -> None:
        """Move the canvas so that this point of the graph is near its upper left corner."""
        self.page.evaluate(LOOK, [left, top, scale])

    def settle(self) -> None:
        """Wait until the pack's parts have seen what has changed, and what they have made of it is drawn."""
        self.page.evaluate(SETTLED)

    def graph(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The graph as the frontend would save it, and the prompt that it would send."""
        both = self.page.evaluate("async () => JSON.stringify(await app.graphToPrompt())")
        return json.loads(both)["workflow"], json.loads(both)["output"]


def load(name: str) -> dict[str, Any]:
    """A template of the pack by its name."""
    return json.loads((templates.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
