"""Inputs appear where they have an effect, in classic and in modern nodes, and files keep the values of all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from devtools.server import Server
from tests.helpers.real_frontend import Frontend

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]

# A node by itself; returns nothing.
ADD = """async ([type, number]) => {
    // What a removed node's widgets held is kept by its number: the next one is to have another.
    await app.loadGraphData({ version: 0.4, nodes: [], links: [], last_node_id: number })
    const node = LiteGraph.createNode(type)
    node.pos = [40, 60]
    app.graph.add(node)
}"""
NODE = "app.graph.nodes[0]"
# Classic nodes are asked what they draw; modern ones go by the options of a widget, and keep advanced ones back.
VISIBLE = f"""{NODE}.widgets.filter(w => LiteGraph.vueNodesMode
    ? !w.options.hidden && (!w.options.advanced || {NODE}.showAdvanced)
    : {NODE}.isWidgetVisible(w)
).map(w => w.name)"""
SOCKETS = "app.graph.nodes[0].inputs.filter(slot => !slot.widget).map(slot => slot.name)"
# What follows a seed, the button of classic nodes and the drawing are no inputs.
NUMBERS = itertools.count(10, 10)
OTHERS = {"control_after_generate", "advanced", "placement_view"}


@pytest.fixture(scope="module", params=[False, True], ids=["classic", "modern"])
def frontend(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Frontend]:
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    frontend = Frontend(page, server)
    frontend.open(first_start=False, VueNodes__Enabled=request.param)
    frontend.kind = "modern" if request.param else "classic"
    yield frontend
    assert frontend.failures == []
    page.close()
    server.client.post("/settings/Comfy.VueNodes.Enabled", False)


def add(frontend: Frontend, node: str) -> None:
    frontend.page.evaluate(ADD, [node, next(NUMBERS)])
    frontend.look(0, 0, 0.9)


def shown(frontend: Frontend, **values: Any) -> set[str]:
    """Names of the widgets that are seen once these values are set."""
    frontend.page.evaluate(
        """values => {
            for (const [name, value] of Object.entries(values))
                app.graph.nodes[0].widgets.find(w => w.name === name).value = value
        }""",
        values,
    )
    frontend.settle()
    return set(frontend.page.evaluate(VISIBLE)) - OTHERS


def test_outpaint_video_has_nine_inputs_at_first_sight(frontend: Frontend) -> None:
    add(frontend, "M3DDM_OutpaintVideo")
    widgets = shown(frontend)
    assert widgets == {"target", "seed", "result_size"}
    # A socket cannot be kept back.
    sockets = ["model", "vae", "video", "settings", "source_mask", "fleet"]
    assert frontend.page.evaluate(SOCKETS) == sockets and len(widgets) + len(sockets) == 9
    frontend.shoot(f"shown_outpaint_{frontend.kind}")
    assert shown(frontend, target="custom ratio") - widgets == {"custom_ratio"}
    assert shown(frontend, target="pixels") - widgets == {"left", "top", "right", "bottom"}
    frontend.shoot(f"shown_outpaint_pixels_{frontend.kind}")
    frontend.page.evaluate(f"{NODE}.showAdvanced = !{NODE}.showAdvanced")
    frontend.settle()
    frontend.shoot(f"shown_outpaint_all_{frontend.kind}")
    assert {"anchor", "canvas_size", "blend"} <= shown(frontend, target="16:9")
    assert "second_denoise" not in shown(frontend) and "second_denoise" in shown(frontend, second_pass=256)
    frontend.page.evaluate(f"{NODE}.showAdvanced = !{NODE}.showAdvanced")
    assert shown(frontend, target="1:1", anchor="offset") - widgets == {"offset_x", "offset_y"}
    assert shown(frontend, anchor="left", result_size="height") - widgets == {"result_pixels"}
    assert shown(frontend, result_size="megapixels") - widgets == {"result_megapixels"}


def test_hidden_inputs_are_saved_and_sent(frontend: Frontend) -> None:
    add(frontend, "M3DDM_EdgeMask")
    shown(frontend, target="16:9", left=12)
    saved, prompt = frontend.graph()
    (node,) = saved["nodes"]
    assert node["widgets_values"][:6] == ["16:9", "16:9", 12, 0, 0, 0] and len(node["widgets_values"]) == 17
    (entry,) = prompt.values()
    assert entry["inputs"]["left"] == 12 and entry["inputs"]["result_size"] == "automatic"
    frontend.shoot(f"shown_edge_mask_{frontend.kind}")


def test_a_preset_shows_what_it_sets(frontend: Frontend) -> None:
    add(frontend, "M3DDM_SamplingSettings")
    own = {"steps", "sampler", "scheduler", "guidance_start", "guidance_end", "unconditional_every"}
    scales = {"context_scale", "global_scale"}
    assert shown(frontend) == {"preset", "preset_sets"}
    assert shown(frontend, preset="balanced") == {"preset", "preset_sets", *scales}
    assert frontend.page.locator(".m3ddm-line").inner_text() == "15 steps, dpmpp_2m, karras"
    frontend.shoot(f"shown_preset_{frontend.kind}")
    assert shown(frontend, preset="custom") == {"preset", *scales, *own}
    saved, prompt = frontend.graph()
    assert len(saved["nodes"][0]["widgets_values"]) == 12
    assert "preset_sets" not in next(iter(prompt.values()))["inputs"]
    frontend.shoot(f"shown_custom_{frontend.kind}")
