"""Every template runs from file to file in a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from devtools import templates, workflow
from devtools.server import Server
from m3ddm_core.frames import scale_frames
from tests.helpers import stand_ins
from tests.helpers.template_files import CLIP, EACH, IDS
from tests.helpers.written_videos import facts, frames_of, psnr

pytestmark = pytest.mark.server

# 16:9 around the clip's 288x360, with its short side; and its size there.
TARGET, SCALED = (512, 288), (230, 288)
# One moves the clip in a frame of its own, 16:9 already, that has its height: nothing is scaled.
AS_IT_IS = {"Stabilised footage": (640, 360)}
FEATHER = 8
# Where the clip lies in the finished frames; in what a template does not name, centred.
LEFT = {"Guide frames": [56] * 64, "Stabilised footage": [round(352 * frame / 63) for frame in range(64)]}
# Frames in the written video; what a template does not name is as long as the clip.
TRIAL_FRAMES = {"Short clip": 24}
# How many times the clip's frame rate; what a template does not name has the clip's.
TIMES = {"Smoother motion": 2}
# How many times the size, and the clip's own pixels are made anew.
LARGER = {"Restored by SeedVR2": 2}
# What of the scaled clip (top, bottom, left, right) the mask of a template covers.
COVERED = {"Remove a logo or bars": (6, 45, 159, 224)}


def clip_in(name: str) -> np.ndarray:
    """The clip's frames as they lie in a template's video, 8 bits."""
    frames = frames_of(CLIP)
    if name in AS_IT_IS:
        return frames
    return (scale_frames(torch.from_numpy(frames) / 255, SCALED) * 255).round().byte().numpy()


def source_psnr(written: np.ndarray, name: str) -> float:
    """How well a template's video shows the clip's own pixels, feather left out, in dB over the frames of the clip."""
    written, source = written[:: TIMES.get(name, 1)], clip_in(name)
    height, width = source.shape[1:3]
    left = LEFT.get(name, [(written.shape[2] - width) // 2] * len(written))
    shown = np.zeros((height, width), bool)
    shown[:, FEATHER : width - FEATHER] = True
    if name in COVERED:
        top, bottom, first, last = COVERED[name]
        shown[max(top - FEATHER, 0) : bottom + FEATHER, first - FEATHER : last + FEATHER] = False
    pixels = np.stack([frame[:, start : start + width][shown] for frame, start in zip(written, left, strict=True)])
    return psnr(pixels, source[: len(written), shown])


@EACH
def test_it_runs_from_file_to_file(template: Path, ready: Server, object_info: dict[str, Any], tmp_path: Path) -> None:
    prompt = workflow.load(template, object_info)
    for kind, inputs in templates.QUICK.items():
        if workflow.of_type(prompt, kind):
            workflow.set_inputs(prompt, kind, **inputs)
    # So that nothing comes from the cache of another test's run.
    for kind in {entry["class_type"] for entry in prompt.values() if "seed" in entry["inputs"]}:
        workflow.set_inputs(prompt, kind, seed=7)
    for node in workflow.of_type(prompt, "M3DDM_EdgeMask"):
        prompt[node]["inputs"]["custom_ratio"] = (
            f"1:{1 + IDS.index(templates.title(template))}"  # not read: the target is 16:9
        )
    stand_ins.leave_out_large_models(prompt)
    result = ready.client.run(prompt)

    (save,) = workflow.of_type(prompt, "SaveVideo")
    (written,) = result.files(save)
    video = ready.client.fetch(written, tmp_path / "out.mp4")
    frames, size, rate, seconds, loudest = facts(video)
    source_frames, _, source_rate, source_seconds, _ = facts(CLIP)
    title = templates.title(template)
    times, larger = TIMES.get(title, 1), LARGER.get(title, 1)
    # Between two frames there are new ones, behind the last there is none.
    expected = (TRIAL_FRAMES.get(title, source_frames) - 1) * times + 1
    width, height = AS_IT_IS.get(title, TARGET)
    assert (frames, size) == (expected, (width * larger, height * larger))
    assert rate == pytest.approx(times * source_rate, abs=1e-3)
    assert seconds == pytest.approx(min(source_seconds, expected / rate), abs=0.1)
    assert loudest > 0.01
    pictures = frames_of(video)
    # Scaled, it is finer for its size, and the encoder loses more; a pixel aside it would be 26 dB.
    assert larger > 1 or source_psnr(pictures, title) >= 38.0
    if times > 1:
        assert_halfway(pictures)
    if title in COVERED:
        assert_replaced(pictures, COVERED[title])
    for kind in ("M3DDM_EdgeMask", "M3DDM_SeenPixels"):
        for node in workflow.of_type(prompt, kind):
            assert result.files(node), f"{kind} shows no preview"
    for preview in workflow.of_type(prompt, "PreviewImage"):
        alone = any(words in prompt[preview]["_meta"]["title"] for words in ("first frame", "what is covered"))
        assert len(result.files(preview)) == (1 if alone else expected)
        # It is there to be judged before the long part of the work begins.
        order = list(result.node_seconds)
        later = [*workflow.of_type(prompt, "M3DDM_SampleInterpolation"), *workflow.of_type(prompt, "SaveVideo")]
        assert all(order.index(preview) < order.index(node) for node in later)


def assert_halfway(written: np.ndarray) -> None:
    """Every second frame is what the stand-in of the interpolator makes: the mean of its neighbours."""
    before, new, after = (written[start:stop:2].astype(np.float64) for start, stop in ((0, -1), (1, None), (2, None)))
    assert psnr(new, (before + after) / 2) >= 40.0
    assert psnr(new, before) < 35.0 and psnr(new, after) < 35.0


def assert_replaced(written: np.ndarray, covered: tuple[int, int, int, int]) -> None:
    """What the mask covers shows the clip no more."""
    top, bottom, first, last = covered
    source = clip_in("Remove a logo or bars")
    left = (written.shape[2] - source.shape[2]) // 2
    made = written[:, top:bottom, left + first : left + last]
    assert psnr(made, source[:, top:bottom, first:last]) < 25.0
