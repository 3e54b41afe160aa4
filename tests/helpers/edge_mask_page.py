"""M3DDM Edge Mask with its drawing, in a page of its own graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.helpers.real_frontend import SETTLED, Frontend

if TYPE_CHECKING:
    from playwright.sync_api import Locator

CLIP = (288, 360)
TARGET = (640, 360)  # 16:9 around it

# A clip's loader, Edge Mask, and a preview so that it runs; returns nothing.
BUILD = """clip => {
    const add = (type, x, y) => {
        const node = LiteGraph.createNode(type)
        node.pos = [x, y]
        app.graph.add(node)
        return node
    }
    const load = clip && add('LoadVideo', 20, 60)
    const parts = add('GetVideoComponents', 340, 60)
    const mask = add('M3DDM_EdgeMask', 600, 60)
    const preview = add('PreviewImage', 1020, 60)
    mask.widgets.find(w => w.name === 'result_size').value = 'as the source'
    if (clip) load.widgets.find(w => w.name === 'file').value = clip
    if (clip) load.connect(0, parts, 0)
    parts.connect(0, mask, 0)
    mask.connect(0, preview, 0)
}"""
# What the frontend does itself after a change by hand: it notes the graph as a state to undo to.
NOTE_STATE = "() => { app.canvas.emitBeforeChange(); app.canvas.emitAfterChange() }"
# All at once: from one moment to the next the view may have moved.
DRAWN = """() => {
    const [source, target, facts] = ['source', 'target', 'facts'].map(part => document.querySelector(`.m3ddm-${part}`))
    return [source.getBoundingClientRect().toJSON(), target.getBoundingClientRect().toJSON(), facts.innerText]
}"""
# The drawing takes the room that the node has: it grows while the clip's size is read and the node's rows are laid out.
AT_REST = f"""async () => {{
    const settled = {SETTLED}
    const places = () => [...document.querySelectorAll('.m3ddm-target, .m3ddm-source, .m3ddm-facts')].map(
        part => JSON.stringify(part.getBoundingClientRect())).join()
    for (let before = ''; before !== places(); await settled()) before = places()
}}"""
NODE = "app.graph.nodes.find(n => n.type === 'M3DDM_EdgeMask')"


class EdgeMask:
    """The node in a page, with its drawing."""

    def __init__(self, frontend: Frontend, clip: str | None) -> None:
        self.frontend, self.page = frontend, frontend.page
        self.page.evaluate("() => app.loadGraphData({ version: 0.4, nodes: [], links: [] })")
        self.page.evaluate(BUILD, clip)
        frontend.look(0, 0, 1)
        self.page.evaluate(NOTE_STATE)
        self.source = self.page.locator(".m3ddm-source")
        self.target = self.page.locator(".m3ddm-target")
        self.note = self.page.locator(".m3ddm-note")
        self.facts = self.page.locator(".m3ddm-facts")

    def values(self) -> dict[str, Any]:
        return self.page.evaluate(f"Object.fromEntries({NODE}.widgets.map(w => [w.name, w.value]))")

    def undo(self, name: str, value: Any) -> None:
        """By the keyboard, until an input has a value.

        The keys are held until then, as by a hand. When they are released the frontend looks for changes, and would
        take a graph that is half restored for one.
        """
        keyboard = self.page.keyboard
        keyboard.down("Control")
        keyboard.down("z")
        self.page.wait_for_function(
            f"wanted => {NODE}?.widgets.find(w => w.name === wanted[0]).value === wanted[1]", arg=[name, value]
        )
        keyboard.up("z")
        keyboard.up("Control")

    def set(self, **values: Any) -> None:
        """As a user who types: the widget's value, and its callback."""
        self.page.evaluate(
            f"""values => {{
                for (const [name, value] of Object.entries(values)) {{
                    const widget = {NODE}.widgets.find(w => w.name === name)
                    widget.value = value
                    widget.callback?.(value, app.canvas, {NODE})
                }}
            }}""",
            values,
        )
        self.rest()

    def rest(self) -> None:
        """Wait until the drawing stands still."""
        self.page.evaluate(AT_REST)

    def drag(self, handle: Locator, right: float, down: float) -> None:
        self.rest()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right / 2, y + down / 2)
        self.page.mouse.move(x + right, y + down)
        self.page.mouse.up()

    def edge(self, side: str) -> Locator:
        return self.page.locator(f".m3ddm-edge[data-side={side}]")

    def drawn(self) -> tuple[float, list[float]]:
        """Pixels on the screen for a pixel of the source, and the source's left, top, width and height in the target,
        in pixels of the source."""
        self.rest()
        inner, outer, facts = self.page.evaluate(DRAWN)
        scale = outer["width"] / float(facts.split("×")[0].split()[-1])
        corner = [inner["x"] - outer["x"], inner["y"] - outer["y"], inner["width"], inner["height"]]
        return scale, [value / scale for value in corner]
