"""M3DDM Crop Video: bars are found and taken off, and what is left is a video like any other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

NONE = dict.fromkeys(("top", "bottom", "left", "right"), 0)


@pytest.fixture
def barred(components: Any, shot: Any) -> tuple[Any, torch.Tensor]:
    """A video of 32x48 pixels, of which 6 above and 6 below are black; and what is not."""
    frames = 0.2 + 0.7 * shot(1, 12)
    frames[:, :6], frames[:, -6:] = 0, 0
    return components(frames), frames[:, 6:-6]


def crop(pack: Any, video: Any, kind: str = "found bars", **sides: int) -> tuple[Any, str]:
    return pack.run("M3DDM_CropVideo", video=video, crop=kind, **{**NONE, **sides})


def test_found_bars_are_taken_off_and_named(pack, barred):
    video, rest = barred
    left, report = crop(pack, video)
    assert report == "black bars: 6 above, 6 below, 0 left, 0 right"
    assert left.get_dimensions() == (32, 36) and left.get_frame_count() == 12
    assert left.get_duration() == pytest.approx(0.48) and left.get_frame_rate() == 25
    parts = left.get_components()
    assert torch.equal(parts.images, rest) and parts.audio["waveform"].shape == (1, 2, 3840)
    part = left.as_trimmed(0.08, 0.16)
    assert torch.equal(part.get_components().images, rest[2:6])


def test_a_file_is_cropped_and_outpainted_as_it_is_read(pack, barred, load_video, outpaint, tmp_path):
    barred[0].save_to(str(tmp_path / "barred.mp4"), bit_depth=10)
    read = pack.module("m3ddm_core.video.file").FileSource(str(tmp_path / "barred.mp4")).frames()
    left, _ = crop(pack, load_video(str(tmp_path / "barred.mp4")), "pixels", top=6, bottom=6)
    wide = outpaint(left, target="16:9", feather=0, seen="off", first_frames=5)
    frames = torch.stack(list(wide.video.frames()))
    assert frames.shape == (5, 36, 64, 3)
    assert torch.equal(frames[:, :, 16:48], torch.stack(list(read))[:5, 6:-6])
    left.save_to(str(tmp_path / "left.mp4"))
    assert load_video(str(tmp_path / "left.mp4")).get_dimensions() == (32, 36)


def test_a_video_without_bars_is_passed_on(pack, components, shot):
    video = components(0.2 + 0.7 * shot(1, 12))
    assert crop(pack, video) == (video, "no black bars")
    assert crop(pack, video, "pixels") == (video, "taken off: 0 above, 0 below, 0 left, 0 right")


def test_too_much_is_refused(pack, components, shot):
    with pytest.raises(ValueError, match="got a crop of 20 above, 20 below, 0 left, 0 right from frames of 32x48"):
        crop(pack, components(shot(1, 2)), "pixels", top=20, bottom=20)
