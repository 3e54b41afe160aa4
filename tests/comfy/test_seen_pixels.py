"""M3DDM Seen Pixels in a host: what it finds goes to the canvas and to the Composite, as in the library's own way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.filmed import Film, filmed, painted, pan

SIDE = 16
FRAMING = {"target": "pixels", "left": SIDE, "right": SIDE, "canvas_size": 96}
OPTIONS = {"feather": 8, "colour_match": "none", "resampling": "lanczos", "blend": "feather"}


class Looked(NamedTuple):
    """A film, what M3DDM Edge Mask makes of it, and M3DDM Seen Pixels of that."""

    film: Film
    placement: Any
    mask: torch.Tensor
    plain: torch.Tensor
    seen: Any
    canvas: torch.Tensor
    confidence: torch.Tensor
    report: str


def seen_pixels(pack: Any, frames: torch.Tensor, placement: Any, *, scene_cuts: bool = True) -> tuple:
    return pack.run("M3DDM_SeenPixels", images=frames, placement=placement, scene_cuts=scene_cuts, cut_threshold=0.25)


def look(pack: Any, film: Film, **options: Any) -> Looked:
    plain, mask, placement, frames = pack.edge_mask(film.source, **FRAMING)
    return Looked(film, placement, mask, plain, *seen_pixels(pack, frames, placement, **options))


@pytest.fixture(scope="module")
def panned(pack: Any) -> Looked:
    return look(pack, pan(1.4, 16))


@pytest.fixture(scope="module")
def still(pack: Any) -> Looked:
    return look(pack, filmed(painted(4), [(200, 120, 1, 0)] * 8))


def test_the_frozen_names(pack: Any) -> None:
    schema = pack.nodes["M3DDM_SeenPixels"].GET_SCHEMA()
    assert schema.node_id == "M3DDM_SeenPixels" and schema.category == "M3DDM" and schema.search_aliases
    assert [entry.id for entry in schema.inputs] == ["images", "placement", "scene_cuts", "cut_threshold"]
    assert [entry.default for entry in schema.inputs[2:]] == [True, 0.25]
    assert not any(entry.optional for entry in schema.inputs)
    assert [entry.io_type for entry in schema.outputs] == ["M3DDM_SEEN", "IMAGE", "MASK", "STRING"]
    assert [entry.display_name for entry in schema.outputs] == ["seen", "canvas", "confidence", "report"]
    assert all(entry.tooltip for entry in (*schema.inputs, *schema.outputs))


def test_a_moving_camera_fills_the_canvas_where_it_is_certain(panned: Looked) -> None:
    assert panned.canvas.shape == panned.plain.shape == (16, 96, 96, 3)
    assert panned.confidence.shape == (16, 96, 96) and panned.confidence.dtype == torch.float32
    whole = panned.film.whole
    certain = panned.confidence[:, 16:80] >= 0.5
    assert certain.sum() == sum(panned.seen.known(number).sum() for number in range(len(panned.seen)))
    assert 0.2 < certain[:, :, :SIDE].float().mean() < 0.9
    assert not panned.confidence[:, :, SIDE:-SIDE].any(), "not on the source"
    errors, before = (canvas[:, 16:80] - whole for canvas in (panned.canvas, panned.plain))
    assert errors[certain].abs().mean() < 0.01 < before[certain].abs().mean()
    source = (slice(None), slice(16, 80), slice(SIDE, -SIDE))
    assert torch.equal(panned.canvas[source], panned.plain[source])


def test_the_report_is_in_words(panned: Looked, still: Looked) -> None:
    assert panned.report == panned.seen.report() and f"{panned.seen.share:.0%} of the border of 16" in panned.report
    head, scene = still.report.splitlines()
    assert head == "0% of the border of 8 frames was filmed in other frames."
    assert scene == "Frames 0 to 7: 0% of the border seen elsewhere; the camera stands still."


def test_the_graph_of_nodes_is_the_librarys_own_way(pack: Any, model: Any, vae: Any, panned: Looked) -> None:
    """Seen Pixels on the canvas and over the result are ``seen="both"``."""
    settings = pack.settings(steps=1, context_scale=1.0, global_scale=1.0)
    (global_frames,) = pack.run("M3DDM_EncodeGlobalFrames", frames=panned.film.source, vae=vae, count=16)
    (state,) = pack.run(
        "M3DDM_EncodeContext",
        canvas=panned.canvas,
        mask=panned.mask,
        placement=panned.placement,
        global_frames=global_frames,
        vae=vae,
        fps=25.0,
    )
    latent = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=3, settings=settings)[1]
    where = {"source": panned.film.source, "placement": panned.placement, "seen": panned.seen}
    images, _ = pack.run("M3DDM_Composite", generated=vae.decode(latent["samples"]), **where, **OPTIONS)
    expected = pack.module("m3ddm_core.pipeline").outpaint_frames(
        panned.film.source,
        pack.module("nodes.host.models").comfy_models(model, vae),
        panned.placement.placement,
        25.0,
        settings=settings,
        seed=3,
        seen=panned.seen,
        seen_use="both",
    )
    assert torch.equal(images, expected)
    assert (images - panned.film.whole).abs()[:, :, :SIDE].mean() < 0.2


def test_provenance_is_the_source_other_frames_or_generated(pack: Any, panned: Looked) -> None:
    where = {"source": panned.film.source, "placement": panned.placement, "seen": panned.seen}
    images, provenance = pack.run("M3DDM_Composite", generated=panned.plain, **where, **OPTIONS | {"feather": 0})
    assert provenance.shape == images.shape[:3] and provenance.unique().tolist() == [0, 0.5, 1]
    assert torch.equal(provenance == 0.5, panned.confidence[:, 16:80] >= 0.5)
    assert not provenance[:, :, SIDE:-SIDE].any()
    assert (images - panned.film.whole)[provenance == 0.5].abs().mean() < 0.01


def test_a_still_camera_changes_no_bit_and_costs_one_mask(pack: Any, still: Looked) -> None:
    assert torch.equal(still.canvas, still.plain) and not still.confidence.any()
    where = {"source": still.film.source, "generated": still.plain, "placement": still.placement}
    plain, laid = (pack.run("M3DDM_Composite", **where, **more, **OPTIONS) for more in ({}, {"seen": still.seen}))
    assert torch.equal(plain[0], laid[0])
    assert torch.equal(plain[1], laid[1]) and len(laid[1]) == 1


def test_a_second_canvas_takes_what_was_seen_for_the_first(pack: Any, panned: Looked) -> None:
    source = panned.film.source
    canvas, _, second = pack.run(
        "M3DDM_SecondPass",
        source=source,
        generated=panned.film.whole,
        placement=panned.placement,
        canvas_size=64,
        canvas_shape="target",
    )
    _, provenance = pack.run(
        "M3DDM_Composite", source=source, generated=canvas, placement=second, seen=panned.seen, **OPTIONS
    )
    assert torch.equal(provenance == 0.5, panned.confidence[:, 16:80] >= 0.5)


def test_cuts_are_not_looked_across_unless_they_are_left_alone(pack: Any) -> None:
    film = Film(torch.cat([pan(1.4, 10, seed=seed).whole for seed in (0, 5)]))
    scenes = [[(s.first, s.last) for s in look(pack, film, scene_cuts=cuts).seen.scenes] for cuts in (True, False)]
    assert scenes == [[(0, 10), (10, 20)], [(0, 20)]]


def test_a_source_mask_is_refused_wherever_it_meets_what_is_seen(pack: Any, panned: Looked) -> None:
    refusal = "got a source mask and seen pixels, expected one of the two"
    source, mask = panned.film.source, torch.zeros(1, 64, 64)
    masked = pack.edge_mask(source, source_mask=mask, **FRAMING)[2]
    with pytest.raises(ValueError, match=refusal):
        seen_pixels(pack, source, masked)
    where = {"source": source, "generated": panned.plain, "placement": panned.placement, "seen": panned.seen}
    with pytest.raises(ValueError, match=refusal):
        pack.run("M3DDM_Composite", source_mask=mask, **where, **OPTIONS)


def test_frames_of_another_video_are_named(pack: Any, panned: Looked, still: Looked) -> None:
    with pytest.raises(ValueError, match="got 8 source frames of 64x64, expected 16"):
        seen_pixels(pack, still.film.source, panned.placement)
    where = {"source": still.film.source, "generated": still.plain, "placement": still.placement}
    with pytest.raises(ValueError, match=r"got seen pixels of 16 frames .* expected 8 frames"):
        pack.run("M3DDM_Composite", seen=panned.seen, **where, **OPTIONS)


def test_the_preview_shows_what_is_still_to_be_generated(pack: Any, tmp_path: Path, monkeypatch: Any) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    _, _, placement, frames = pack.edge_mask(pan(1.4, 16).source, **FRAMING)
    node = pack.nodes["M3DDM_SeenPixels"]
    told = node.execute(frames, placement, scene_cuts=False, cut_threshold=0.25)
    (shown,) = told.ui.as_dict()["images"]
    picture = Image.open(tmp_path / shown["filename"])
    assert picture.size == (192, 96)
    unseen = torch.from_numpy(np.array(picture.convert("L")))[16:80, 96:] > 127
    assert torch.equal(unseen[:, :SIDE], told.args[2][8, 16:80, :SIDE] < 0.5)
    assert not unseen[:, SIDE:-SIDE].any()


def test_it_tells_how_far_it_is_and_heeds_the_button_for_stopping(pack: Any, monkeypatch: Any) -> None:
    import comfy.model_management
    import comfy.utils

    film = pan(1.4, 10)
    frames, (_, _, placement, _) = film.source, pack.edge_mask(film.source, **FRAMING)
    told, bar = [], []
    monkeypatch.setattr(pack.module("nodes.host.progress").NodeText, "end", lambda self, text: told.append(text))
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: bar.append(value))
    seen, *_ = seen_pixels(pack, frames, placement)
    assert told[0].startswith("looking around, frame ") and bar == sorted(bar) and bar[-1] == 10
    assert told[-1].startswith(f"{seen.share:.0%} of the border seen elsewhere, ")
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        seen_pixels(pack, frames, placement)
    assert told[-1] == "stopped"


def test_the_composite_tells_of_laying_over_and_heeds_the_button_too(
    pack: Any, panned: Looked, monkeypatch: Any
) -> None:
    import comfy.model_management

    told = []
    monkeypatch.setattr(pack.module("nodes.host.progress").NodeText, "end", lambda self, text: told.append(text))
    where = {"source": panned.film.source, "generated": panned.plain, "placement": panned.placement}
    pack.run("M3DDM_Composite", **where, **OPTIONS)
    assert told == []
    pack.run("M3DDM_Composite", seen=panned.seen, **where, **OPTIONS)
    assert told[0].startswith("laying over frame 1 of 16")
    assert told[-1] == "what other frames have filmed is laid over 16 frames"
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        pack.run("M3DDM_Composite", seen=panned.seen, **where, **OPTIONS)
    assert told[-1] == "stopped"
