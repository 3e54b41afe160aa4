"""M3DDM Outpaint Video with a second pass: the frames of the graph of nodes, few in memory, and what is told."""

from __future__ import annotations

import dataclasses
import weakref
from typing import Any

import pytest
import torch

ONE_STEP = {"steps": 1, "context_scale": 1.0, "global_scale": 1.0}


def test_the_second_pass_is_that_of_the_graph_of_nodes(pack, model, vae, two_scenes) -> None:
    """Scene by scene, from files of frames to finished ones, with nothing but latents kept in between."""
    settings = pack.settings(**ONE_STEP)
    options = {"settings": settings, "canvas_size": 64, "blend": "gradient", "colour_match": "steady", "seen": "off"}
    once = pack.outpaint_video(model, vae, two_scenes, **options).get_components().images
    ours = pack.outpaint_video(model, vae, two_scenes, **options, second_pass=80, second_denoise=0.5)
    assert [scene.latents.shape[-2:] for scene in ours.video.scenes] == [(6, 10), (6, 10)]
    frames = two_scenes.get_components().images
    expected = []
    for part in (slice(0, 12), slice(12, 22)):
        source = frames[part]
        prepared, _ = pack.prepare(source, vae, count=16, canvas_size=64)
        where = {"source": source, "generated": once[part], "placement": prepared["placement"]}
        canvas, mask, placement = pack.run("M3DDM_SecondPass", **where, canvas_size=80, canvas_shape="target")
        prepared |= {"canvas": canvas, "mask": mask, "placement": placement}
        (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
        half = dataclasses.replace(settings, denoise=0.5)
        latent = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=half)[1]
        blending = {"feather": 8, "colour_match": "steady", "resampling": "lanczos", "blend": "gradient"}
        generated = vae.decode(latent["samples"])
        where |= {"generated": generated, "placement": placement}
        expected.append(pack.run("M3DDM_Composite", **where, **blending)[0])
    images = ours.get_components().images
    assert (images - torch.cat(expected)).abs().max() <= 1 / 255
    assert (images - once).abs().max() > 8 / 255, "the second pass changes nothing, so equality proves nothing"


def test_a_second_pass_that_is_no_larger_is_told(outpaint, two_scenes, caplog) -> None:
    outpaint(two_scenes, second_pass=64)
    assert "canvas of 64x40, no larger than the first, 64x64" in caplog.text


def test_a_second_canvas_that_is_none_is_refused_before_anything_is_sampled(pack, vae, model, two_scenes) -> None:
    with pytest.raises(ValueError, match=r"got second_pass=100.*try 96"):
        pack.outpaint_video(model, vae, two_scenes, second_pass=100, settings=None)


def test_the_second_pass_holds_few_finished_frames_at_once(pack, outpaint, components, shot, monkeypatch) -> None:
    chunks, finished = pack.module("m3ddm_core.frames"), pack.module("m3ddm_core.video.finished").FinishedVideo
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 8 * 32 * 48)
    by_scene, pictures, alive = finished.by_scene, [], []

    def watched(pairs: Any) -> Any:
        for source, picture in pairs:
            pictures.append(weakref.ref(picture))
            alive.append(sum(picture() is not None for picture in pictures))
            yield source, picture

    monkeypatch.setattr(finished, "by_scene", lambda self: map(watched, by_scene(self)))
    outpaint(components(shot(1, 60)), second_pass=80)
    assert len(alive) == 60 and max(alive) <= 20


@pytest.mark.parametrize(("second_pass", "names"), [(0, [""]), (80, ["first pass, ", "second pass, "])])
def test_the_text_tells_pass_scene_and_clip(pack, outpaint, two_scenes, monkeypatch, second_pass, names) -> None:
    told = []
    monkeypatch.setattr(pack.module("nodes.host.progress").NodeText, "end", lambda self, text: told.append(text))
    outpaint(two_scenes, second_pass=second_pass, seen="off")
    texts = [text.split(", about")[0].split(", a few")[0] for text in told]
    assert texts[-1].startswith("22 frames in ")
    for name in names:
        mine = [text for text in texts if text.startswith(name)]
        assert mine[0] == f"{name}scene 1 of 2, reading frame 1 of 22"
        assert f"{name}scene 1 of 2, clip 1 of 1" in mine and f"{name}scene 2 of 2, clip 1 of 1" in mine
