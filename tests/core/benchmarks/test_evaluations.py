"""What the presets cost, counted in evaluations of the network, and that they stay within what was asked."""

from __future__ import annotations

import pytest

from benchmarks.evaluations import PUBLISHED_EVALUATIONS, clip_evaluations
from m3ddm_core.sampling.guidance import Branch
from m3ddm_core.sampling.settings import PRESETS, SamplingSettings


def evaluations(**values):
    return clip_evaluations(SamplingSettings().changed(values))


def test_the_counter_counts_branches():
    assert evaluations(steps=7).total() == 21
    assert evaluations(steps=7, context_scale=1.0).total() == 14
    assert evaluations(steps=7, sampler="heun", context_scale=1.0, global_scale=1.0).total() == 13
    # Steps 0, 2, 4 and 6 need all three; a fourth and later part of the way only one.
    assert evaluations(steps=7, sampler="euler", unconditional_every=2) == {
        Branch.FULL: 7,
        Branch.MASKED_VIDEO: 7,
        Branch.UNCONDITIONAL: 4,
    }
    assert evaluations(steps=5, sampler="euler", guidance_end=0.5).total() == 3 * 3 + 2


@pytest.mark.parametrize(("name", "count"), [("reference", 150), ("balanced", 38), ("fast", 16)])
def test_presets_cost_what_the_nodes_count(name, count):
    """tests/comfy/test_sampling_settings.py has the same numbers."""
    assert clip_evaluations(PRESETS[name]).total() == count


@pytest.mark.parametrize(("name", "hundredths"), [("reference", 75), ("balanced", 20), ("fast", 8)])
@pytest.mark.parametrize("scales", [(2.0, 4.0), (3.0, 1.5), (4.0, 4.0)])
def test_presets_keep_to_their_share_of_the_published_work(name, hundredths, scales):
    settings = PRESETS[name].changed(dict(zip(("context_scale", "global_scale"), scales, strict=True)))
    assert clip_evaluations(settings).total() * 100 <= hundredths * PUBLISHED_EVALUATIONS
