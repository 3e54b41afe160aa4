"""What a viewer would see, on the held-out clips: the line at the seam, the border's colours, their flicker."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.spoiled_clips import EVENTS, colour_error, known, spoiled_clips
from m3ddm_core.composite.compositor import composite
from m3ddm_core.evaluation.metrics import flicker, seam

CLIPS, FRAMES, SIZE = 5, 6, 128
BLENDED = {"colour_match": "steady", "blend": "gradient"}


def _pixels(frames: torch.Tensor) -> np.ndarray:
    return (frames * 255).round().byte().numpy()


@pytest.fixture(scope="module")
def clips() -> list:
    return list(spoiled_clips(CLIPS, FRAMES, SIZE, ("none", "flicker", "fade", "flash")))


def _measured(clips: list, event: str, **options: object) -> dict[str, np.ndarray]:
    """Means of seam, flicker and colour error over the clips; without options, of the truth itself."""
    rows = []
    for kind, placement, truth, generated in clips:
        if kind == event:
            source, filled = known(placement, truth)
            result = composite(source, generated, placement, **options) if options else truth
            edge = filled.numpy()
            rows.append(
                {
                    "seam": seam(_pixels(result), edge),
                    "flicker": flicker(_pixels(truth), _pixels(result), edge),
                    "colour": colour_error(truth, result, filled).max().item(),
                }
            )
    assert len(rows) == CLIPS
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("feather", [0, 8])
@pytest.mark.parametrize("event", ["none", "flicker", "fade", "flash"])
def test_the_seam_disappears(clips: list, event: str, feather: int) -> None:
    before = _measured(clips, event, feather=0)["seam"]
    after = _measured(clips, event, feather=feather, **BLENDED)["seam"]
    truth = _measured(clips, event)["seam"]
    assert before.mean() > 2.5
    assert after.mean() <= 1.1
    assert (after <= np.maximum(1.25 * truth, 1.25)).all(), "a clip whose own pixels jump there may do so"


@pytest.mark.parametrize("event", ["fade", "flash"])
def test_the_border_follows_the_source_s_light(clips: list, event: str) -> None:
    """In every frame: ``colour`` is that of the worst."""
    before, after = (_measured(clips, event, feather=0, **options)["colour"].mean() for options in ({}, BLENDED))
    assert before > 40 and after < before / 5


def test_what_flickers_comes_to_rest(clips: list) -> None:
    before, after = (_measured(clips, "flicker", feather=0, **options)["flicker"].mean() for options in ({}, BLENDED))
    assert before > 3 and after < 1.1


def test_every_event_is_rendered(clips: list) -> None:
    assert {kind for kind, *_ in clips} <= set(EVENTS)
    for _, placement, truth, generated in clips:
        assert truth.shape == generated.shape == (FRAMES, SIZE, SIZE, 3) and placement.target == (SIZE, SIZE)
