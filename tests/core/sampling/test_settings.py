"""The presets: what they cost, counted in evaluations of the network, and that they stay within what was asked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from m3ddm_core.sampling.guidance import Branch
from m3ddm_core.sampling.settings import (
    CUSTOM,
    PRESET_NAMES,
    PRESETS,
    PUBLISHED_EVALUATIONS,
    Effort,
    clip_evaluations,
    with_preset,
)


@dataclass(frozen=True)
class Settings(Effort):
    denoise: float = 1.0


def test_the_counter_counts_branches():
    assert clip_evaluations(Effort(steps=7)).total() == 21
    assert clip_evaluations(Effort(steps=7), context_scale=1.0).total() == 14
    assert clip_evaluations(Effort(7, "heun"), 1.0, 1.0).total() == 13
    # Steps 0, 2, 4 and 6 ask for all three; a fourth and later part of the way only for one.
    assert clip_evaluations(Effort(7, "euler", unconditional_every=2)) == {
        Branch.FULL: 7,
        Branch.CONTEXT: 7,
        Branch.UNCONDITIONAL: 4,
    }
    assert clip_evaluations(Effort(5, "euler", guidance_end=0.5)).total() == 3 * 3 + 2


def test_the_reference_is_the_release():
    assert PRESETS["reference"] == Effort()
    assert clip_evaluations(PRESETS["reference"]).total() == 150 == PUBLISHED_EVALUATIONS * 3 // 4


@pytest.mark.parametrize(("name", "hundredths"), [("balanced", 20), ("fast", 8)])
@pytest.mark.parametrize("scales", [(2.0, 4.0), (3.0, 1.5), (4.0, 4.0)])
def test_presets_keep_to_their_share_of_the_published_work(name, hundredths, scales):
    assert clip_evaluations(PRESETS[name], *scales).total() * 100 <= hundredths * PUBLISHED_EVALUATIONS


def test_presets_leave_the_rest_of_the_settings_alone():
    mine = Settings(3, "euler", denoise=0.5)
    assert with_preset(mine, CUSTOM) is mine
    for name, effort in PRESETS.items():
        assert with_preset(mine, name) == Settings(**dataclasses.asdict(effort), denoise=0.5)
    assert PRESET_NAMES == ("reference", "balanced", "fast", "custom")
    with pytest.raises(ValueError, match="got the preset 'quick', expected one of reference, balanced, fast, custom"):
        with_preset(mine, "quick")
