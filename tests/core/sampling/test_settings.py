"""The settings that all who sample share, by the names that users know them under, and presets of them."""

from __future__ import annotations

import pytest

from m3ddm_core.sampling.guidance import Guidance
from m3ddm_core.sampling.settings import CUSTOM, PRESET_NAMES, PRESETS, SamplingSettings, preset_values


def test_settings_go_by_flat_names_and_back():
    settings = SamplingSettings().changed({"steps": 3, "context_scale": 1.5, "guidance_end": 0.5})
    assert settings == SamplingSettings(3, guidance=Guidance(context_scale=1.5, end=0.5))
    assert SamplingSettings().changed(settings.flat()) == settings
    assert settings.flat()["unconditional_every"] == 1 and "guidance" not in settings.flat()


def test_guidance_that_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"got guidance from 0\.6 to 0\.5"):
        SamplingSettings().changed({"guidance_start": 0.6, "guidance_end": 0.5})


def test_presets_leave_the_rest_of_the_settings_alone():
    mine = SamplingSettings().changed({"steps": 3, "sampler": "euler", "denoise": 0.5, "context_scale": 3.0})
    assert mine.changed(preset_values(CUSTOM)) == mine
    for name, preset in PRESETS.items():
        found = mine.changed(preset_values(name))
        assert found == preset.changed({"denoise": 0.5, "context_scale": 3.0})
    assert PRESETS["reference"] == SamplingSettings()
    assert PRESET_NAMES == ("reference", "balanced", "fast", "custom")
    with pytest.raises(ValueError, match="got the preset 'quick', expected one of reference, balanced, fast, custom"):
        preset_values("quick")
