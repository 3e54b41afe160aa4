"""One bar over all clips of a stage, with a preview that shows the clip being made, and the time left in words."""

from __future__ import annotations

import sys
import time
import types

import pytest
import torch
from PIL import Image


@pytest.fixture
def reports(monkeypatch):
    """What ComfyUI's server would be told: value, total and preview of every report."""
    import comfy.utils
    import latent_preview

    seen = []
    monkeypatch.setattr(
        comfy.utils,
        "PROGRESS_BAR_HOOK",
        lambda value, total, preview, node_id=None: seen.append((value, total, preview)),
    )
    monkeypatch.setattr(latent_preview.args, "preview_method", latent_preview.LatentPreviewMethod.Latent2RGB)
    return seen


def test_one_bar_runs_over_all_clips_and_shows_all_frames(pack, model, vae, reports):
    frames = torch.rand((20, 64, 32, 3), generator=torch.Generator().manual_seed(0))
    prepared, _ = pack.prepare(frames, vae, target="1:1")
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
    told = [(value, total) for value, total, _ in reports]
    assert told[0] == (20, 20), "the frames put on the canvas"
    assert told[1:] == [(2, 2), (20, 41), (41, 41)], "global frames, and all that is encoded of the canvas"
    reports.clear()
    settings = pack.settings(steps=3, context_scale=1.0, global_scale=1.0)
    pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=settings)

    clips = 2
    assert [value for value, _, _ in reports] == list(range(1, 3 * clips + 1))
    assert {total for _, total, _ in reports} == {3 * clips}
    for _, _, (kind, picture, most) in reports:
        assert kind == "JPEG"
        assert picture.size == (512, 512) and most is None, "sixteen frames, four in a row, at ComfyUI's preview size"


def test_the_contact_sheet_reads_from_left_to_right_and_down(pack):
    clip = torch.arange(16.0).view(1, 16, 1, 1).expand(4, 16, 2, 3)
    sheet = pack.module("nodes.host.progress").contact_sheet(clip)
    assert sheet.shape == (1, 4, 4 * (2 + 4), 4 * (3 + 4))
    assert sheet[0, 0, ::6, ::7].tolist() == sheet[0, 3, 5::6, 6::7].tolist() == torch.arange(16.0).view(4, 4).tolist()


def test_each_frame_of_the_contact_sheet_has_a_margin_like_its_edge(pack):
    clip = torch.tensor([1.0, 2.0, 3.0]).expand(4, 16, 2, 3)
    sheet = pack.module("nodes.host.progress").contact_sheet(clip)
    assert sheet[0, 0, 7].tolist() == [1, 1, 1, 2, 3, 3, 3] * 4


@pytest.mark.parametrize(
    ("latents", "zoom", "most", "expected"),
    [
        ((8, 8), 1, 512, (128, 128)),
        ((40, 22), 1, 512, (128, 70)),
        ((5, 32), 1, 301, (11, 75)),
        ((32, 32), 8, 512, (128,) * 2),
    ],
)
def test_frames_of_a_sheet_are_scaled_alike_and_take_nothing_from_beside_them(pack, latents, zoom, most, expected):
    colours = [(255 * (n % 2), 16 * n, 255 * (n // 4 % 2)) for n in range(16)]
    frame, pitch = [zoom * side for side in latents], [zoom * (side + 4) for side in latents]
    sheet = Image.new("RGB", (4 * pitch[0], 4 * pitch[1]), (90, 0, 90))
    for number, colour in enumerate(colours):
        left, top = number % 4 * pitch[0] + 2 * zoom, number // 4 * pitch[1] + 2 * zoom
        sheet.paste(colour, (left, top, left + frame[0], top + frame[1]))
    kind, scaled, limit = pack.module("nodes.host.progress").even(("JPEG", sheet, most), *latents)
    assert (kind, scaled.size, limit) == ("JPEG", (4 * expected[0], 4 * expected[1]), None)
    for number, colour in enumerate(colours):
        left, top = number % 4 * expected[0], number // 4 * expected[1]
        cut = scaled.crop((left, top, left + expected[0], top + expected[1]))
        assert cut.getcolors() == [(expected[0] * expected[1], colour)], number


def test_the_preview_has_the_colours_of_the_vae_that_made_the_latents(pack, model, reports):
    """ComfyUI's own would show the latents of any VAE as if they were Stable Diffusion's."""
    draw = torch.Generator().manual_seed(5)
    colours = torch.rand(16, 1, 1, 3, generator=draw).expand(16, 8, 8, 3)
    look = torch.cat([torch.randn(4, 3, generator=draw), torch.rand(1, 3, generator=draw)])
    latents = (colours - look[-1]) @ torch.linalg.pinv(look[:-1])
    progress = step(pack, 1, 1, steps=1)._replace(denoised=latents.movedim(-1, 0)[None])
    with pack.module("nodes.host.progress").stage_progress(model, "test", look) as report:
        report(progress)
    ((_, _, (_, sheet, _)),) = reports
    shown = torch.tensor([sheet.getpixel((64 + 128 * (n % 4), 64 + 128 * (n // 4))) for n in range(16)]) / 255
    assert (shown - colours[:, 0, 0]).abs().max() < 0.01


@pytest.mark.parametrize("previewer", ["none", "of another pack"])
def test_a_bar_without_a_picture_shows_none(pack, model, reports, monkeypatch, previewer):
    """Previews switched off in ComfyUI; or the previewer of a pack that draws by itself, and answers nothing."""
    import latent_preview

    if previewer == "none":
        monkeypatch.setattr(latent_preview.args, "preview_method", latent_preview.LatentPreviewMethod.NoPreviews)
    else:
        silent = types.SimpleNamespace(decode_latent_to_preview_image=lambda kind, latents: None)
        monkeypatch.setattr(latent_preview, "get_previewer", lambda device, latent_format: silent)
    with pack.module("nodes.host.progress").stage_progress(model, "test") as report:
        report(step(pack, 1, 1, steps=1))
    assert reports == [(1, 1, None)]


class Server:
    """As much of ComfyUI's server as is told texts."""

    def __init__(self):
        self.told = []

    def send_progress_text(self, text, node_id, sid=None):
        self.told.append((text, node_id))


@pytest.fixture
def server(monkeypatch):
    """A server that remembers, and node 7 of a prompt running in it."""
    from comfy_execution.utils import CurrentNodeContext

    instance = Server()
    module = types.ModuleType("server")
    module.PromptServer = types.SimpleNamespace(instance=instance)
    monkeypatch.setitem(sys.modules, "server", module)
    with CurrentNodeContext("prompt", "7"):
        yield instance


class Clock:
    """A clock that is set by hand."""

    now = 50.0

    def __call__(self):
        return self.now


def step(pack, done, total, steps):
    progress = pack.module("m3ddm_core.outpaint.stages").Progress
    return progress(done, total, (), torch.zeros(1, 4, 16, 8, 8), steps)


def test_a_stage_tells_clip_and_time_left_at_most_once_a_second(pack, model, server, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    with pack.module("nodes.host.progress").stage_progress(model, "test") as report:
        for done in range(1, 61):
            clock.now += 30.0 if done == 1 else 0.25
            report(step(pack, done, 1200, steps=100))
        clock.now += 20.0
        report(step(pack, 61, 1200, steps=100))
        report(step(pack, 1200, 1200, steps=100))
    told = [text for text, _ in server.told]
    assert {node for _, node in server.told} == {"7"}
    assert told[0] == "clip 1 of 12", "the first step, with all that is loaded, tells nothing of the others"
    assert told[1] == "clip 1 of 12, about 5 min left" and len(told) == 17
    assert told[-1] == "12 clips in 1 min"


def test_a_long_text_is_broken_between_words(pack, server):
    pack.module("nodes.host.progress").NodeText().end(
        "64 frames in 12 s, 3 clips made by an earlier run, finished while saving"
    )
    ((text, _),) = server.told
    assert text == "64 frames in 12 s, 3 clips made by\nan earlier run, finished while\nsaving"


def test_a_stage_with_nothing_to_do_says_so(pack, model, server):
    with pack.module("nodes.host.progress").stage_progress(model, "test"):
        pass
    assert server.told == [("nothing left to sample", "7")]


def test_a_stage_that_is_stopped_says_so(pack, model, server):
    import comfy.model_management

    with (
        pytest.raises(comfy.model_management.InterruptProcessingException),
        pack.module("nodes.host.progress").stage_progress(model, "test"),
    ):
        raise comfy.model_management.InterruptProcessingException
    assert server.told == [("stopped", "7")]


@pytest.mark.parametrize("missing", ["node", "instance", "module"])
def test_without_a_server_nothing_is_told_and_nothing_fails(pack, model, server, monkeypatch, missing):
    from comfy_execution.utils import current_executing_context

    if missing == "module":
        monkeypatch.delitem(sys.modules, "server")
    elif missing == "instance":
        del sys.modules["server"].PromptServer.instance
    else:
        token = current_executing_context.set(None)
    with pack.module("nodes.host.progress").stage_progress(model, "test") as report:
        report(step(pack, 1, 1, steps=1))
    if missing == "node":
        current_executing_context.reset(token)
    assert not server.told


def test_a_node_run_tells_of_its_clips(pack, model, small_state, server):
    settings = pack.settings(steps=2, context_scale=1.0, global_scale=1.0)
    pack.run("M3DDM_SampleInfill", model=model, state=small_state, seed=0, settings=settings)
    assert server.told[0] == ("clip 1 of 1", "7") and server.told[-1][0].startswith("1 clip in ")
