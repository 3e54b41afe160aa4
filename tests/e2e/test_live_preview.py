"""The preview that plays: one frame after another on the node that samples, from the sheets that the server sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devtools.host import PACK
from devtools.server import Server
from tests.e2e.test_outpaint_video import graph
from tests.helpers.real_frontend import A_RUN, Frontend

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]

FRAMES = 16
TILE = (48, 32)  # of the sheets made here
SHOWN = [512, 341]  # the same shape
A_WHILE = 6 * 125.0  # milliseconds, that of some frames
STEPS = 12  # of a real run

# What the frontend hears and shows. Frame n of a sheet made here is 16 n + 8 in red, and has the sheet's mark in green.
TOOLS = """async () => {
    const { api } = await import('/scripts/api.js')
    const hear = data => api.socket.dispatchEvent(new MessageEvent('message', { data }))
    const tools = window.tools = { sheets: 0, frames: [], ended: 0, decoded: 0 }
    api.addEventListener('b_preview', ({ detail }) => { tools.sheets++; tools.last = detail })
    api.addEventListener('b_preview_with_metadata', ({ detail }) => tools.frames.push(detail.frame ?? 'sheet'))
    for (const end of ['execution_success', 'execution_error']) api.addEventListener(end, () => tools.ended++)
    const decode = window.createImageBitmap
    window.createImageBitmap = (source, ...rest) => {
        if (source instanceof Blob) tools.decoded++
        return decode(source, ...rest)
    }
    tools.sheet = async mark => {
        const sheet = new OffscreenCanvas(4 * 48, 4 * 32), pen = sheet.getContext('2d')
        for (let n = 0; n < 16; n++) {
            pen.fillStyle = `rgb(${16 * n + 8} ${mark} 40)`
            pen.fillRect(n % 4 * 48, Math.floor(n / 4) * 32, 48, 32)
        }
        return new Uint8Array(await (await sheet.convertToBlob({ type: 'image/png' })).arrayBuffer())
    }
    tools.send = (id, picture) => {
        const facts = new TextEncoder().encode(JSON.stringify({
            node_id: id, display_node_id: id, real_node_id: id, parent_node_id: null,
            prompt_id: 'job', image_type: 'image/png',
        }))
        const message = new Uint8Array(8 + facts.length + picture.length), view = new DataView(message.buffer)
        view.setUint32(0, 4)
        view.setUint32(4, facts.length)
        message.set(facts, 8)
        message.set(picture, 8 + facts.length)
        hear(message.buffer)
    }
    tools.state = (id, state) => {
        const entry = { value: 1, max: 2, state, node_id: id, display_node_id: id, real_node_id: id, prompt_id: 'job' }
        hear(JSON.stringify({ type: 'progress_state', data: { prompt_id: 'job', nodes: { [id]: entry } } }))
    }
    tools.node = id => {
        const path = id.split(':'), inner = path.pop()
        return path.reduce((graph, id) => graph.getNodeById(id).subgraph, app.rootGraph).getNodeById(inner)
    }
    tools.picture = id => {
        const modern = document.querySelector(`[data-node-id="${id.split(':').pop()}"] img`)
        const picture = modern ?? tools.node(id).imgs?.[0]
        return picture?.complete && picture.naturalWidth ? picture : undefined
    }
    tools.look = id => {
        const picture = tools.picture(id)
        if (!picture) return null
        const [width, height] = [picture.naturalWidth, picture.naturalHeight]
        const pen = new OffscreenCanvas(width, height).getContext('2d')
        pen.drawImage(picture, 0, 0)
        const colours = [[1, 1], [width - 2, 1], [width / 2, height / 2], [1, height - 2], [width - 2, height - 2]]
            .map(point => [...pen.getImageData(...point.map(Math.floor), 1, 1).data])
        const numbers = new Set(colours.map(([red]) => Math.round((red - 8) / 16)))
        const number = numbers.size === 1 ? [...numbers][0] : 'many'
        return { size: [width, height], number, mark: Math.round(colours[0][1] / 10) * 10 }
    }
}"""
# Whether no frame comes for some time, sooner or later: one that was in the making may still come.
STOPPED = """async quiet => {
    for (const end = performance.now() + 60_000; performance.now() < end;) {
        const before = tools.frames.length
        await new Promise(done => setTimeout(done, quiet))
        if (tools.frames.length === before) return true
    }
    return false
}"""
# Whether all 16 frames of the sheet with a mark have been on the node, one at a time, looked at as often as may be.
ALL_SEEN = """([id, mark]) => {
    const shown = tools.look(id)
    tools.seen ??= new Set()
    if (shown?.mark === mark) tools.seen.add(shown.number)
    return tools.seen.size >= 16 && [...tools.seen].sort((a, b) => a - b)
}"""
# What the addresses of pictures are made with, from the start of the page.
COUNT_ADDRESSES = """() => {
    const { createObjectURL, revokeObjectURL } = URL
    window.addresses = new Set()
    URL.createObjectURL = thing => {
        const address = createObjectURL.call(URL, thing)
        addresses.add(address)
        return address
    }
    URL.revokeObjectURL = address => { addresses.delete(address); revokeObjectURL.call(URL, address) }
}"""


class Preview:
    """A page, and what it is told of a node that runs."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend, self.page = frontend, frontend.page
        self.page.evaluate(TOOLS)

    def add(self, kind: str) -> str:
        """One node of a kind in an empty graph, in sight; returns its id. What was heard before is forgotten."""
        self.forget()
        self.page.evaluate("() => app.loadGraphData({ version: 0.4, nodes: [], links: [] })")
        node = self.page.evaluate(
            """kind => {
                const node = LiteGraph.createNode(kind)
                node.pos = [60, 60]
                app.graph.add(node)
                return node.id
            }""",
            kind,
        )
        self.frontend.look(0, 0, 1)
        return str(node)

    def forget(self) -> None:
        self.page.evaluate("() => Object.assign(tools, { sheets: 0, frames: [], decoded: 0, ended: 0 })")

    def send(self, node: str, *marks: int, finish: bool = False) -> None:
        """Sheets with these marks, one right behind the other, of a node that is running and may then finish."""
        self.page.evaluate(
            """async ([id, marks, finish]) => {
                const sheets = await Promise.all(marks.map(tools.sheet))
                tools.state(id, 'running')
                for (const sheet of sheets) tools.send(id, sheet)
                if (finish) tools.state(id, 'finished')
            }""",
            [node, marks, finish],
        )

    def finish(self, node: str) -> None:
        self.page.evaluate("id => tools.state(id, 'finished')", node)

    def look(self, node: str) -> dict[str, Any]:
        """What is on the node, as soon as it is a picture that has been read."""
        return self.page.wait_for_function("id => tools.look(id)", arg=node).json_value()

    def heard(self) -> list[int | str]:
        """The frames that the frontend was given so far, and "sheet" for each sheet."""
        return self.page.evaluate("() => tools.frames")

    def wait_for_all(self, node: str, mark: int) -> list[int | str]:
        self.page.evaluate("() => { tools.seen = undefined }")
        found = self.page.wait_for_function(ALL_SEEN, arg=[node, mark])
        return found.json_value()

    def has_stopped(self) -> bool:
        return self.page.evaluate(STOPPED, A_WHILE)


@contextmanager
def opened_in(browser: Browser, server: Server, modern: bool) -> Iterator[Preview]:
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.add_init_script(f"({COUNT_ADDRESSES})()")
    frontend = Frontend(page, server)
    frontend.open(first_start=False, VueNodes__Enabled=modern)
    yield Preview(frontend)
    for name, value in (("Comfy.VueNodes.Enabled", False), ("Comfy.Execution.PreviewMethod", "default")):
        server.client.post(f"/settings/{name}", value)
    page.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, server: Server) -> Iterator[Preview]:
    """One page for all that is tried on classic nodes."""
    with opened_in(browser, server, modern=False) as preview:
        yield preview


@pytest.fixture(scope="module")
def modern(browser: Browser, server: Server) -> Iterator[Preview]:
    with opened_in(browser, server, modern=True) as preview:
        yield preview


@pytest.fixture
def preview(opened: Preview) -> Iterator[Preview]:
    yield opened
    opened.page.evaluate("() => app.loadGraphData({ version: 0.4, nodes: [], links: [] })")
    opened.page.emulate_media(reduced_motion="no-preference")
    assert opened.has_stopped() and opened.frontend.failures == []


def plays_until_the_end(preview: Preview, node: str) -> None:
    before = preview.page.evaluate("() => addresses.size")
    preview.send(node, 40)
    assert preview.wait_for_all(node, 40) == list(range(FRAMES)), "each frame by itself"
    assert preview.page.evaluate("() => tools.sheets") == 1, "all of them from one sheet"
    assert preview.look(node)["size"] == SHOWN
    heard = preview.heard()
    assert heard == [n % FRAMES for n in range(len(heard))], "in order, and the sheet itself was not shown"
    preview.finish(node)
    assert preview.has_stopped()
    assert preview.look(node)["number"] in range(FRAMES), "the last frame stays"
    # The node's and the job's: what the frontend keeps of any preview.
    assert preview.page.evaluate("() => addresses.size") <= before + 2
    assert preview.page.evaluate("() => tools.decoded") == 1


def open_blueprint(preview: Preview) -> tuple[str, str]:
    """The pack's one node for beginners, in sight: its id, and that of what samples in it."""
    blueprint = json.loads((PACK / "subgraphs" / "Video Outpainting (M3DDM).json").read_text(encoding="utf-8"))
    preview.page.evaluate("graph => app.loadGraphData(graph)", blueprint)
    preview.frontend.look(-60, -60, 1)
    outer, inner = preview.page.evaluate(
        """() => {
            const outer = app.graph.nodes[0]
            return [outer.id, outer.subgraph.nodes.find(node => node.type === 'M3DDM_OutpaintVideo').id]
        }"""
    )
    return str(outer), f"{outer}:{inner}"


def test_it_plays_a_sheet_until_the_node_has_finished(preview: Preview) -> None:
    plays_until_the_end(preview, preview.add("M3DDM_SampleInfill"))


def test_of_sheets_that_come_fast_the_newest_is_played_and_the_last_is_shown(preview: Preview) -> None:
    node = preview.add("M3DDM_SampleKeyframes")
    preview.send(node, *range(10, 200, 10), 230)
    assert preview.wait_for_all(node, 230) == list(range(FRAMES))
    assert preview.page.evaluate("() => tools.decoded") <= 2, "the first, and the newest when that one was shown"
    preview.send(node, 90, 140, finish=True)
    preview.page.wait_for_function("id => tools.look(id)?.mark === 140", arg=node)
    assert preview.has_stopped() and preview.page.evaluate("() => tools.decoded") <= 4


def test_it_plays_inside_a_subgraph(preview: Preview) -> None:
    outer, node = open_blueprint(preview)
    preview.page.evaluate(
        "id => { const outer = tools.node(id); app.canvas.openSubgraph(outer.subgraph, outer) }", outer
    )
    preview.frontend.look(720, -60, 0.7)
    preview.send(node, 60)
    assert preview.wait_for_all(node, 60) == list(range(FRAMES))
    preview.finish(node)
    assert preview.has_stopped()


def test_other_nodes_previews_are_left_alone(preview: Preview) -> None:
    node = preview.add("KSampler")
    preview.send(node, 40)
    shown = preview.look(node)
    assert shown["size"] == [4 * side for side in TILE] and shown["number"] == "many"
    assert preview.has_stopped() and preview.heard() == ["sheet"]


def test_who_wants_little_motion_sees_the_sheet(preview: Preview) -> None:
    preview.page.emulate_media(reduced_motion="reduce")
    node = preview.add("M3DDM_SampleInfill")
    preview.send(node, 40)
    preview.page.wait_for_function("id => tools.look(id)?.number === 'many'", arg=node)
    assert preview.has_stopped() and preview.heard() == ["sheet"]


def test_a_sheet_that_cannot_be_read_ends_nothing(preview: Preview) -> None:
    node = preview.add("M3DDM_SampleInfill")
    preview.page.evaluate("id => { tools.state(id, 'running'); tools.send(id, new Uint8Array([1, 2, 3])) }", node)
    preview.page.wait_for_function("() => tools.frames.length")
    assert preview.has_stopped() and len(preview.heard()) == 1, "passed on once, for the frontend to do with as it does"
    preview.send(node, 40)
    assert preview.wait_for_all(node, 40) == list(range(FRAMES))


@pytest.mark.parametrize("how", ["removed", "another workflow", "lost connection"])
def test_it_stops_when_its_node_is_gone(preview: Preview, how: str) -> None:
    node = preview.add("M3DDM_SampleInfill")
    preview.send(node, 40)
    preview.wait_for_all(node, 40)
    if how == "removed":
        preview.page.evaluate("id => app.graph.remove(tools.node(id))", node)
    elif how == "another workflow":
        # In which the same number is a node of the same kind: not the one that runs.
        preview.page.evaluate("() => app.loadGraphData(app.graph.serialize())")
        assert preview.page.evaluate("id => tools.node(id).type", node) == "M3DDM_SampleInfill"
    else:
        preview.page.evaluate(
            """async () => {
                const { api } = await import('/scripts/api.js')
                api.dispatchCustomEvent('reconnecting')
                api.dispatchCustomEvent('reconnected')
            }"""
        )
    assert preview.has_stopped()


def whole_run(preview: Preview, clip: str, seed: int, previews: str) -> str:
    """Outpaint a video in the page, and wait for the end, with screenshots on the way; returns its node's id."""
    preview.forget()
    preview.page.evaluate("how => app.extensionManager.setting.set('Comfy.Execution.PreviewMethod', how)", previews)
    prompt = graph(clip, seed=seed, first_frames=16)
    prompt["settings"]["inputs"] |= {"steps": STEPS, "preset": "custom"}
    prompt["save"]["inputs"] = {"video": ["outpaint", 0], "filename_prefix": "live", "format": "auto", "codec": "auto"}
    # Other numbers in each run: the frontend keeps what a node of the same number has shown.
    numbers = {name: str(number) for number, name in enumerate(prompt, start=10 * seed)}
    for entry in prompt.values():
        wired = {name: value for name, value in entry["inputs"].items() if isinstance(value, list)}
        entry["inputs"] |= {name: [numbers[node], slot] for name, (node, slot) in wired.items()}
    places = ([-900, 0], [-900, 400], [-900, 520], [-500, 0], [60, 40], [500, 40])
    preview.page.evaluate(
        """async ([prompt, places]) => {
            await app.loadApiJson(prompt, 'live preview')
            for (const id in places) Object.assign(app.graph.getNodeById(id), { pos: places[id] })
        }""",
        [
            {numbers[name]: entry for name, entry in prompt.items()},
            dict(zip(numbers.values(), places, strict=True)),
        ],
    )
    preview.frontend.look(0, 0, 0.6)
    preview.page.get_by_test_id("queue-button").click()
    if previews != "none":
        for moment in (1, 2):
            # How many frames come before it ends depends on the machine.
            preview.page.wait_for_function("least => tools.frames.length >= least || tools.ended", arg=8 * moment)
            preview.frontend.shoot(f"live_preview_{seed}_{moment}")
    preview.page.wait_for_function("() => tools.ended", timeout=A_RUN)
    return numbers["outpaint"]


def shows_its_clip_moving(preview: Preview, clip: str, seed: int) -> None:
    node = whole_run(preview, clip, seed, "latent2rgb")
    assert preview.has_stopped()
    heard = preview.heard()
    assert preview.page.evaluate("() => tools.sheets") == STEPS, "one for each step"
    assert heard and heard == [n % FRAMES for n in range(len(heard))], "the sheets themselves were not shown"
    preview.frontend.shoot(f"live_preview_{seed}_end")
    # What stays is that frame of the last sheet.
    preview.page.wait_for_function(
        """async ([id, number]) => {
            const sheet = await createImageBitmap(tools.last), side = sheet.width / 4
            const cut = [number % 4 * side, Math.floor(number / 4) * side, side, side]
            const small = (...picture) => {
                const pen = new OffscreenCanvas(16, 16).getContext('2d')
                pen.drawImage(...picture, 0, 0, 16, 16)
                return pen.getImageData(0, 0, 16, 16).data
            }
            if (!tools.picture(id)) return false
            const [expected, shown] = [small(sheet, ...cut), small(tools.picture(id))]
            return Math.max(...expected.map((value, n) => Math.abs(value - shown[n]))) < 30
        }""",
        arg=[node, heard[-1]],
    )
    plays_until_the_end(preview, preview.add("M3DDM_SampleInterpolation"))
    assert preview.frontend.failures == []


def test_a_run_shows_its_clip_moving_in_classic_nodes(opened: Preview, small_clip: Path) -> None:
    shows_its_clip_moving(opened, small_clip.name, 1)


def test_a_run_shows_its_clip_moving_in_modern_nodes(modern: Preview, small_clip: Path) -> None:
    shows_its_clip_moving(modern, small_clip.name, 2)
    # Classic nodes do not show what previews there are inside.
    outer, node = open_blueprint(modern)
    modern.send(node, 90)
    assert modern.wait_for_all(outer, 90) == list(range(FRAMES))
    modern.frontend.shoot("live_preview_subgraph")
    modern.finish(node)
    assert modern.has_stopped() and modern.frontend.failures == []


def test_without_previews_nothing_is_shown(opened: Preview, small_clip: Path) -> None:
    node = whole_run(opened, small_clip.name, 3, "none")
    assert opened.has_stopped() and opened.heard() == []
    assert opened.page.evaluate("id => [tools.sheets, tools.decoded, tools.look(id)]", node) == [0, 0, None]
    assert opened.frontend.failures == []
