"""M3DDM Forget Frames: part of a finished video is made again, and the rest stays bit by bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

FRAMES = 50
"""Enough for three levels."""


@pytest.fixture(scope="module")
def blank_state(pack: Any) -> Any:
    """A video of seeded noise on a tiny canvas, nothing of it known, with a guide frame at 20."""
    guide = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(1))
    return pack.noise_state(FRAMES).with_guides({20: guide})


@pytest.fixture
def sample(pack: Any, model: Any) -> Any:
    settings = pack.settings(steps=1, context_scale=1.0, global_scale=1.0)

    def run(state: Any, seed: int, *, levels: bool = True) -> Any:
        for node, stride in (("Keyframes", 15), ("Interpolation", 5)) if levels else ():
            inputs = {"model": model, "seed": seed, "stride": stride, "settings": settings}
            state = pack.run(f"M3DDM_Sample{node}", state=state, **inputs)[0]
        return pack.run("M3DDM_SampleInfill", model=model, state=state, seed=seed, settings=settings)[0]

    return run


def forget(pack: Any, state: Any, frame_numbers: str, **options: Any) -> Any:
    (forgotten,) = pack.run(
        "M3DDM_ForgetFrames", state=state, frame_numbers=frame_numbers, **{"forget_guides": False, **options}
    )
    return forgotten


@pytest.mark.parametrize("levels", [True, False], ids=["three levels", "infill"])
def test_another_seed_makes_only_the_range_anew(pack: Any, sample: Any, blank_state: Any, levels: bool) -> None:
    finished = sample(blank_state, seed=1)
    forgotten = forget(pack, finished, "12-25, -3--1")
    anew = [sample(forgotten, seed=seed, levels=levels).latents for seed in (2, 2, 1)]
    gone = sorted({*range(12, 26), 47, 48, 49} - {20})
    differs = [index for index in range(FRAMES) if not torch.equal(anew[0][index], finished.latents[index])]
    assert differs == gone and torch.isfinite(anew[0]).all()
    assert torch.equal(anew[0], anew[1]) and not torch.equal(anew[0][gone], anew[2][gone])


def test_empty_leaves_everything_and_all_begins_again(pack: Any, sample: Any, blank_state: Any) -> None:
    finished = sample(blank_state, seed=1)
    assert torch.equal(sample(forget(pack, finished, ""), seed=2).latents, finished.latents)
    fresh = forget(pack, finished, "0--1")
    assert fresh.known == {20} and torch.equal(fresh.latents, blank_state.latents)
    assert torch.equal(sample(fresh, seed=1).latents, finished.latents)


def test_guides_are_told_and_kept_unless_asked(pack: Any, blank_state: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert forget(pack, blank_state, "19-21").known == {20}
    assert "kept as given from the outset: frames [20]" in caplog.text
    assert not forget(pack, blank_state, "19-21", forget_guides=True).known


@pytest.mark.parametrize(("text", "message"), [("40-60", "frame number 60 for a video of 50"), ("9-3", "backwards")])
def test_frames_that_are_not_there_are_told(pack: Any, blank_state: Any, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forget(pack, blank_state, text)
