"""One bar over all clips of a stage, with a preview that shows the clip being made."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def reports(monkeypatch):
    """What ComfyUI's server would be told: value, total and preview of every report."""
    import comfy.utils
    import latent_preview

    seen = []
    monkeypatch.setattr(
        comfy.utils,
        "PROGRESS_BAR_HOOK",
        lambda value, total, preview, node_id=None: seen.append((value, total, preview)),
    )
    monkeypatch.setattr(latent_preview.args, "preview_method", latent_preview.LatentPreviewMethod.Latent2RGB)
    return seen


def test_one_bar_runs_over_all_clips_and_shows_all_frames(pack, model, vae, reports):
    frames = torch.rand((20, 64, 32, 3), generator=torch.Generator().manual_seed(0))
    prepared, _ = pack.prepare(frames, vae, target="1:1")
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **prepared)
    settings = pack.module("nodes.types").Sampling(steps=3, context_scale=1.0, global_scale=1.0)
    pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=settings)

    clips = 2
    assert [value for value, _, _ in reports] == list(range(1, 3 * clips + 1))
    assert {total for _, total, _ in reports} == {3 * clips}
    for _, _, (kind, picture, _) in reports:
        assert kind == "JPEG"
        assert picture.size == (4 * 8, 4 * 8), "sixteen frames of 8x8 latents, four in a row"


def test_the_contact_sheet_reads_from_left_to_right_and_down(pack):
    clip = torch.arange(16.0).view(1, 16, 1, 1).expand(4, 16, 2, 3)
    sheet = pack.module("nodes.progress").contact_sheet(clip)
    assert sheet.shape == (1, 4, 8, 12)
    assert sheet[0, 0, ::2, ::3].tolist() == torch.arange(16.0).view(4, 4).tolist()
