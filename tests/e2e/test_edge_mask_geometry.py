"""The geometry of the drawing in M3DDM Edge Mask is the core's: what it answers, and what it refuses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from devtools.host import PACK_NAME
from devtools.server import Server
from m3ddm_core.canvas.placement import ANCHORS, place
from m3ddm_core.canvas.result_size import AS_SOURCE, AUTOMATIC, KINDS, MEGAPIXELS, ResultSize
from tests.helpers.edge_mask_page import CLIP
from tests.helpers.real_frontend import Frontend

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture(scope="module")
def frontend(browser: Browser, server: Server) -> Iterator[Frontend]:
    page = browser.new_page()
    frontend = Frontend(page, server)
    frontend.open(first_start=False)
    yield frontend
    assert frontend.failures == []
    page.close()


def cases() -> list[tuple[tuple[int, int], dict[str, Any], list[Any]]]:
    """Sources, inputs of the node, and the scaled source, target, offset and canvas that the core answers."""
    draw = random.Random(5)
    ratios = ["16:9", "9:16", "1:1", "21:9", "2.39:1", "1.78", " 4 / 5 ", ".5:.25", "1.123456789:1.987654321", "3:0.07"]
    ratios += ["\uff11\uff16\uff1a\uff19", "2\uff0e39\u3000\uff0f 1"]
    found = []
    while len(found) < 400:
        size = (draw.randint(1, draw.choice((64, 4000))), draw.randint(1, draw.choice((64, 4000))))
        left, right = draw.choice((0, draw.randint(0, 500))), draw.choice((0, draw.randint(0, 500)))
        top, bottom = draw.choice((0, draw.randint(0, 500))), draw.choice((0, draw.randint(0, 500)))
        ratio = draw.choice((None, *ratios))
        anchor = draw.choice((*ANCHORS, "offset"))
        common = {
            "canvas_size": 8 * draw.randint(8, 256),
            "canvas_shape": draw.choice(("square", "target")),
            "size_multiple": draw.choice((1, 2, 3, 8, 16, 64)),
        }
        where = {"pixels": (left, top, right, bottom)} if ratio is None else {"ratio": ratio}
        kind = draw.choice(KINDS)
        sizes = {"result_size": kind, "result_pixels": draw.randint(16, 3000)}
        sizes["result_megapixels"] = draw.randint(1, 1200) / 100
        pixels = kind not in (AUTOMATIC, AS_SOURCE, MEGAPIXELS)
        where["size"] = ResultSize(kind, sizes["result_pixels" if pixels else "result_megapixels"])
        try:
            placed = place(size, anchor="center" if anchor == "offset" else anchor, **where, **common)
        except ValueError as error:
            assert str(error).startswith("got a target of "), "larger than encoders take: the run will say so"
            continue
        offset = (0, 0)
        if anchor == "offset" and ratio is not None:
            whole = place(size, **{**where, "size": None}, **common)
            offset = tuple(draw.randint(0, room - inner) for room, inner in zip(whole.target, size, strict=True))
            placed = place(size, offset=offset, **where, **common)
        asked = common | sizes | {"left": left, "top": top, "right": right, "bottom": bottom, "anchor": anchor}
        asked |= {"offset_x": offset[0], "offset_y": offset[1], "custom_ratio": ratio or "16:9"}
        asked["target"] = "pixels" if ratio is None else "custom ratio"
        found.append(
            (size, asked, [list(side) for side in (placed.source, placed.target, placed.offset, placed.canvas)])
        )
    return found


def in_browser(frontend: Frontend, table: list[Any]) -> list[Any]:
    """What the drawing's own geometry answers to each (source, inputs)."""
    return frontend.page.evaluate(
        f"""async table => {{
            const {{ place }} = await import('/extensions/{PACK_NAME}/placement.js')
            return table.map(([source, asked]) => place(source, asked))
        }}""",
        table,
    )


def test_its_geometry_is_the_cores(frontend: Frontend) -> None:
    table = cases()
    answers = in_browser(frontend, [case[:2] for case in table])
    for (size, asked, expected), answer in zip(table, answers, strict=True):
        result = answer["result"]
        assert [result["source"], result["target"], result["offset"], answer["canvas"]] == expected, (size, asked)
        nothing = result["target"] == result["source"]
        assert (answer["problem"] or {}).get("key") == ("nothing" if nothing else None), (size, asked)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"target": "custom ratio", "custom_ratio": "wide"}, {"key": "bad_ratio", "ratio": "wide"}),
        ({"target": "custom ratio", "custom_ratio": "0:1"}, {"key": "bad_ratio", "ratio": "0:1"}),
        ({"target": "custom ratio", "custom_ratio": "101:1"}, {"key": "bad_ratio", "ratio": "101:1"}),
        ({"offset_x": 353}, {"key": "outside", "name": "offset_x", "value": 353, "most": 352}),
        ({"offset_y": 1}, {"key": "outside", "name": "offset_y", "value": 1, "most": 0}),
        ({"canvas_size": 100}, {"key": "bad_canvas", "size": 100}),
        ({"target": "pixels", "left": 16097}, {"key": "too_large", "width": 16386, "height": 360, "most": 16384}),
        (
            {"target": "pixels", "left": 12000, "bottom": 12000},
            {"key": "too_large", "width": 12288, "height": 12360, "most": 16384},
        ),
        ({"target": "pixels"}, {"key": "nothing"}),
    ],
)
def test_what_the_core_refuses_is_told(frontend: Frontend, changed: dict[str, Any], problem: dict[str, Any]) -> None:
    asked = {"target": "16:9", "custom_ratio": "16:9", "left": 0, "top": 0, "right": 0, "bottom": 0}
    asked |= {"anchor": "offset", "offset_x": 0, "offset_y": 0}
    asked |= {"canvas_size": 256, "canvas_shape": "square", "size_multiple": 2}
    (answer,) = in_browser(frontend, [[CLIP, asked | changed]])
    assert answer["problem"] == problem
