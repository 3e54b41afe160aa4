"""The settings that all who sample share, by the names that users know them under, and presets of them."""

from __future__ import annotations

import pytest

from m3ddm_core.sampling.guidance import Guidance
from m3ddm_core.sampling.settings import (
    ADVISED,
    CHECKPOINT,
    CUSTOM,
    PRESET_NAMES,
    PRESETS,
    CheckpointSettings,
    SamplingSettings,
    decided_by,
    preset_settings,
)


def test_settings_go_by_flat_names_and_back():
    settings = SamplingSettings().changed({"steps": 3, "context_scale": 1.5, "guidance_end": 0.5})
    assert settings == SamplingSettings(3, guidance=Guidance(context_scale=1.5, end=0.5))
    assert SamplingSettings().changed(settings.flat()) == settings
    assert settings.flat()["unconditional_every"] == 1 and "guidance" not in settings.flat()


def test_guidance_that_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"got guidance from 0\.6 to 0\.5"):
        SamplingSettings().changed({"guidance_start": 0.6, "guidance_end": 0.5})


def test_presets_leave_the_rest_of_the_settings_alone():
    mine = {"steps": 3, "sampler": "euler", "denoise": 0.5, "context_scale": 3.0}
    assert preset_settings(CUSTOM, mine) == SamplingSettings().changed(mine)
    for name, preset in PRESETS.items():
        left = {key: value for key, value in mine.items() if key not in decided_by(name)}
        assert left == {"denoise": 0.5, "context_scale": 3.0}
        assert preset_settings(name, left) == preset.changed(left)
        assert preset_settings(name, mine) == preset.changed(mine), "what is said beside a preset counts"
    assert PRESETS["reference"] == SamplingSettings()
    assert PRESET_NAMES == ("checkpoint", "reference", "balanced", "fast", "custom")
    with pytest.raises(ValueError, match="got the preset 'quick', expected one of checkpoint, reference, balanced"):
        preset_settings("quick", {})


def test_those_of_the_checkpoint_are_open_until_they_meet_one():
    advised = SamplingSettings().changed({"steps": 2, "sampler": "ddim", "context_scale": 1.0})
    assert preset_settings(CHECKPOINT, {}) == CheckpointSettings()
    assert CheckpointSettings().beside(advised) == advised
    mine = preset_settings(CHECKPOINT, {"denoise": 0.5, "steps": 7})
    assert mine.beside(advised) == advised.changed({"denoise": 0.5, "steps": 7})
    closed = SamplingSettings(5)
    assert closed.beside(advised) is closed
    assert set(ADVISED) == set(SamplingSettings().flat()) - {"denoise", "guide_noise", "clips_per_batch"}
    with pytest.raises(ValueError, match=r"got guidance from 0\.6 to 0\.5"):
        CheckpointSettings({"guidance_start": 0.6, "guidance_end": 0.5}).beside(advised)
