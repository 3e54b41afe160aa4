"""M3DDM Outpaint Video with a mask of the user's own: what the graph of nodes makes of the same clip and mask."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "assets" / "big_buck_bunny.mp4"
ONE_STEP = {"steps": 1, "context_scale": 1.0, "global_scale": 1.0}
FULL = {"target": "pixels"}
BLENDING = {"feather": 4, "colour_match": "steady", "resampling": "lanczos", "blend": "gradient"}
SCENES = [slice(0, 12), slice(12, 22)]
"""Of the fixture ``two_scenes``, 48 pixels high and 32 wide."""


@pytest.fixture(autouse=True)
def previews(pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))


def moving(count: int, height: int, width: int) -> torch.Tensor:
    """A square that moves over some of the first frames."""
    mask = torch.zeros(count, height, width)
    for number in range(2, 10):
        mask[number, height // 4 : height // 2, width // 4 + number : width // 2 + number] = 1
    return mask


def by_the_graph(
    pack: Any, model: Any, vae: Any, frames: torch.Tensor, mask: torch.Tensor, settings: Any, second: int, **where: Any
) -> torch.Tensor:
    """What the nodes of the full graph make of frames and mask, in one pass or two."""
    canvas, hole, placement, used = pack.edge_mask(frames, source_mask=mask, canvas_size=64, **where)
    (shown,) = pack.run("M3DDM_EncodeGlobalFrames", frames=used, vae=vae, count=16, source_mask=mask)
    finished = None
    strides = {"Keyframes": {"stride": 15}, "Interpolation": {"stride": 5}, "Infill": {}}
    for canvas_size in (None, second) if second else (None,):
        if canvas_size:
            canvas, hole, placement = pack.run(
                "M3DDM_SecondPass",
                **{"source": used, "generated": finished, "placement": placement, "source_mask": mask},
                **{"canvas_size": canvas_size, "canvas_shape": "target"},
            )
            strides, settings = {"Infill": {}}, dataclasses.replace(settings, denoise=0.5)
        (state,) = pack.run(
            "M3DDM_EncodeContext", canvas=canvas, mask=hole, global_frames=shown, vae=vae, fps=25.0, placement=placement
        )
        for level, stride in strides.items():
            state, latent, _ = pack.run(
                f"M3DDM_Sample{level}", model=model, state=state, seed=0, settings=settings, **stride
            )
        parts = {"source": used, "generated": vae.decode(latent["samples"]), "placement": placement}
        finished, _ = pack.run("M3DDM_Composite", **parts, **BLENDING, source_mask=mask)
    return finished


def by_the_node(pack: Any, model: Any, vae: Any, video: Any, mask: torch.Tensor, settings: Any, **options: Any) -> Any:
    given = {"settings": settings, "source_mask": mask, "canvas_size": 64, **BLENDING, **options}
    return pack.outpaint_video(model, vae, video, **given)


@pytest.mark.parametrize("where", [FULL, {"target": "16:9"}], ids=["full", "bordered"])
@pytest.mark.parametrize("still", [True, False], ids=["still", "moving"])
def test_a_file_becomes_what_the_graph_of_nodes_makes_of_it(pack, model, vae, load_video, where, still) -> None:
    settings = pack.settings(**ONE_STEP)
    video = load_video(str(CLIP))
    source, frames = video.get_components().images, 50  # Enough for three levels.
    mask = moving(frames, *source.shape[1:3])
    mask = mask[4] if still else mask
    options = {"first_frames": frames, "scene_cuts": False, **where}
    ours = by_the_node(pack, model, vae, video, mask, settings, **options).get_components().images
    expected = by_the_graph(pack, model, vae, source[:frames], mask, settings, 0, **where)
    assert ours.shape == expected.shape and (ours - expected).abs().max() <= 1 / 255
    if where is FULL:
        changed = (ours != source[:frames]).any(-1).flatten(1).any(1)
        assert changed.tolist() == ([True] * frames if still else [2 <= number < 10 for number in range(frames)])


@pytest.mark.parametrize("where", [FULL, {"target": "16:9"}], ids=["full", "bordered"])
@pytest.mark.parametrize("second", [0, 80])
def test_each_scene_has_its_own_frames_of_the_mask(pack, model, vae, two_scenes, where, second) -> None:
    """In one pass and in two; nothing of the second scene is masked."""
    settings = pack.settings(**ONE_STEP)
    mask, frames = moving(22, 48, 32), two_scenes.get_components().images
    options = {"second_pass": second, "second_denoise": 0.5, **where}
    ours = by_the_node(pack, model, vae, two_scenes, mask, settings, **options)
    assert [scene.mask is not None for scene in ours.video.scenes] == [True, False]
    expected = [by_the_graph(pack, model, vae, frames[s], mask[s], settings, second, **where) for s in SCENES]
    images = ours.get_components().images
    assert (images - torch.cat(expected)).abs().max() <= 1 / 255
    if where is FULL:
        assert torch.equal(images[12:], frames[12:]) and not torch.equal(images[2:10], frames[2:10])
        assert torch.equal(ours.as_trimmed(0.2, 0.4).get_components().images, images[5:15])


def test_a_trial_of_the_first_frames_takes_the_mask_of_all(pack, outpaint, two_scenes) -> None:
    mask = moving(22, 48, 32)
    trials = [outpaint(two_scenes, source_mask=part, first_frames=9, **FULL) for part in (mask, mask[:9])]
    one, other = (trial.get_components().images for trial in trials)
    assert torch.equal(one, other) and len(one) == 9
    assert not torch.equal(one, two_scenes.get_components().images[:9])


def test_what_does_not_fit_is_told_before_anything_is_sampled(pack, vae, model, two_scenes) -> None:
    def refused(message: str, mask: torch.Tensor, **options: Any) -> None:
        with pytest.raises(ValueError, match=message):
            pack.outpaint_video(model, vae, two_scenes, canvas_size=64, source_mask=mask, **options)

    refused(r"source mask of 64x64, expected 32x48.*empty mask", torch.ones(1, 64, 64))
    refused(r"source mask of 21 frames for 22 source frames.*one for each", torch.ones(21, 48, 32))
    refused(r"source mask of 23 frames for 22", torch.ones(23, 48, 32))
    refused(r"source mask of 23 frames for 22", torch.ones(23, 48, 32), first_frames=30)
    refused(r"source mask of 8 frames for 9", torch.ones(8, 48, 32), first_frames=9)


def test_nothing_under_the_mask_is_told(outpaint, two_scenes, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        assert outpaint(two_scenes, source_mask=torch.ones(48, 32), **FULL).video.scenes[0].latents is not None
        assert not caplog.records
        finished = outpaint(two_scenes, source_mask=torch.zeros(22, 48, 32), second_pass=80, **FULL)
    assert "nothing to outpaint" in caplog.text and "source_mask is 0 everywhere" in caplog.text
    assert torch.equal(finished.get_components().images, two_scenes.get_components().images)


def test_the_text_tells_of_the_scenes_that_are_worked_on(pack, outpaint, two_scenes, monkeypatch) -> None:
    told = []
    monkeypatch.setattr(pack.module("nodes.host.progress").NodeText, "end", lambda self, text: told.append(text))
    for scene, masked in ((1, slice(0, 5)), (2, slice(14, 17))):
        mask = torch.zeros(22, 48, 32)
        mask[masked, 8:16, 8:16] = 1
        told.clear()
        outpaint(two_scenes, source_mask=mask, **FULL)
        frames = (12, 10)[scene - 1]
        texts = [text.split(", about")[0].split(", a few")[0] for text in told]
        assert texts[:-1] == [
            *(f"scene {scene} of 2, reading frame {number} of {frames}" for number in range(1, frames + 1)),
            f"scene {scene} of 2, clip 1 of 1",
        ]
