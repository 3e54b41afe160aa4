"""App mode: four templates open as a form, and what is filled in there is what is run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from devtools import templates, workflow
from devtools.server import Server
from tests.helpers.real_frontend import A_RUN, COMPLAINTS, Frontend, api
from tests.helpers.template_files import APPS
from tests.helpers.written_videos import facts

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.server, pytest.mark.browser]

MODELS = ["quality", "seed", "network", "VAE"]
LOGO = ["logo: from the left", "logo: from the top", "logo: width", "logo: height"]
# What each form asks for, from top to bottom.
ASKED = {
    "Outpaint a video": ["video", "shape", *MODELS],
    "Phone to wide": ["video", *MODELS],
    "Remove a logo or bars": ["video", *LOGO, "shape", *MODELS],
    "Stabilised footage": ["video", "path", "picture width", "picture height", *MODELS],
}
ITEM = '[data-testid="app-mode-widget-item"]'


@pytest.fixture(scope="module")
def frontend(browser: Browser, server: Server) -> Iterator[Frontend]:
    """One page for all tests, of a server with the clip, and no model but the pack's own."""
    page = browser.new_page(viewport={"width": 1700, "height": 1250})
    frontend = Frontend(page, server)
    frontend.open()
    yield frontend
    page.close()


@pytest.mark.parametrize("title", APPS)
def test_it_opens_as_a_form(title: str, frontend: Frontend) -> None:
    page = frontend.page
    frontend.open_template(templates.titled(title).stem)
    items = page.locator(ITEM)
    items.first.wait_for()
    assert [text.splitlines()[0] for text in items.all_inner_texts()] == ASKED[title]
    for number in range(len(ASKED[title])):
        # An input that the frontend does not draw here would leave its label with nothing under it.
        assert items.nth(number).locator("input, textarea, button").count() > 1, ASKED[title][number]
    frontend.shoot(f"app_{title}")
    assert page.locator(COMPLAINTS).count() == 0, page.locator(COMPLAINTS).all_inner_texts()
    frontend.leave_app()
    assert items.count() == 0
    assert page.locator(COMPLAINTS).count() == 0, page.locator(COMPLAINTS).all_inner_texts()
    assert frontend.failures == []


def test_it_runs_what_is_filled_in(frontend: Frontend, server: Server) -> None:
    page = frontend.page
    frontend.open_template(templates.titled("Outpaint a video").stem)
    shape = page.locator(ITEM).filter(has_text="shape")
    shape.get_by_role("combobox").click()
    page.get_by_role("option", name="1:1", exact=True).click()
    # Nothing that the form asks for, and seconds in place of minutes.
    page.evaluate(
        """() => {
            const set = (type, name, value) => {
                app.graph.nodes.find(n => n.type === type).widgets.find(w => w.name === name).value = value
            }
            set('M3DDM_OutpaintVideo', 'canvas_size', 64)
            set('M3DDM_OutpaintVideo', 'first_frames', 20)
        }"""
    )
    _, prompt = frontend.graph()
    (outpaint,) = workflow.of_type(prompt, "M3DDM_OutpaintVideo")
    assert prompt[outpaint]["inputs"]["target"] == "1:1"
    before = set(server.output.rglob("*.mp4"))
    page.get_by_role("button", name="Run", exact=True).last.click()
    video = page.locator('video[src*="m3ddm_outpaint_a_video"]').first
    video.wait_for(state="attached", timeout=A_RUN)
    (written,) = set(server.output.rglob("*.mp4")) - before
    assert facts(written)[:2] == (20, (288, 288))
    api.expect(video).to_be_visible()
    frontend.shoot("app_result")
    assert page.locator(COMPLAINTS).count() == 0
    assert frontend.failures == []
