"""What one sees of the pack at first: colours of its wires, and its nodes in the search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from devtools.server import Server
from tests.helpers.real_frontend import Frontend, api

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]

FIRST = "M3DDM Outpaint Video"
WORDS = ("video outpainting", "outpaint video", "reframe", "widen", "widen video", "扩图", "外扩", "扩展视频")
COLOURS = """() => {
    const types = [...new Set(Object.values(LiteGraph.registered_node_types).flatMap(
        type => Object.values(type.nodeData?.inputs ?? {}).map(input => input.type)))].filter(t => /^M3DDM_/.test(t))
    const of = name => getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${name}`).trim()
    return Object.fromEntries(types.map(type => [type, [
        app.canvas.default_connection_color_byType[type], LGraphCanvas.link_type_colors[type], of(type)]]))
}"""

RANKED = """first => {
    const items = [...document.querySelectorAll('[data-testid="result-item"]')]
    const names = items.map(item => item.innerText.split('\\n')[0])
    return names.find(name => name.startsWith('M3DDM')) === first && names.slice(0, 2).includes(first)
}"""


@pytest.fixture(scope="module")
def frontend(browser: Browser, server: Server) -> Iterator[Frontend]:
    page = browser.new_page(viewport={"width": 1500, "height": 900})
    frontend = Frontend(page, server)
    frontend.open(first_start=False)
    yield frontend
    page.close()


def test_each_kind_of_wire_has_a_colour_of_its_own(frontend: Frontend) -> None:
    colours = frontend.page.evaluate(COLOURS)
    assert {"M3DDM_STATE", "M3DDM_GLOBAL_FRAMES", "M3DDM_PLACEMENT", "M3DDM_SAMPLING"} <= set(colours)
    assert all(len(set(found)) == 1 and found[0] for found in colours.values()), colours
    assert len({found[0] for found in colours.values()}) == len(colours)
    for palette in ("light", "dark"):
        frontend.page.evaluate("name => app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
        frontend.settle()
        assert frontend.page.evaluate(COLOURS) == colours, palette
    assert frontend.failures == []


@pytest.mark.parametrize("words", WORDS)
def test_it_is_the_first_of_the_pack_that_these_words_find(frontend: Frontend, words: str) -> None:
    page = frontend.page
    page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    page.get_by_role("search").get_by_role("combobox").fill(words)
    found = page.get_by_test_id("result-item")
    # What was listed before the words were looked for is another list; a slow machine shows it for longer.
    frontend.settle()
    with suppress(api.TimeoutError):
        page.wait_for_function(RANKED, arg=FIRST)
    names = [text.splitlines()[0] for text in found.all_inner_texts()]
    frontend.shoot(f"search_{words.replace(' ', '_')}")
    page.keyboard.press("Escape")
    # Among what no name has, the frontend puts the nodes of its own list of favourites first, however far they fit.
    ours = [name for name in names if name.startswith("M3DDM")]
    assert ours[0] == FIRST and FIRST in names[:2], names[:5]
