"""What ComfyUI asks for since later versions than the one that the tests run in."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import av
import pytest
import torch


@pytest.fixture
def video(outpaint, two_scenes) -> Any:
    return outpaint(two_scenes)


def read(file: io.BytesIO) -> tuple[int, int, int]:
    """Frames, and primaries and transfer by FFmpeg's numbers."""
    file.seek(0)
    with av.open(file) as container:
        context = container.streams.video[0].codec_context
        return sum(1 for _ in container.decode(video=0)), context.color_primaries, context.color_trc


def test_it_is_saved_as_save_video_asks_since_0_33(video) -> None:
    file = io.BytesIO()
    video.save_to(file, format="auto", codec="auto", metadata=None, crf=None, color_space=None)
    assert read(file) == (22, 1, 1)


def test_a_preset_decides_how_much_time_is_taken(video) -> None:
    files = {preset: io.BytesIO() for preset in (None, "ultrafast")}
    for preset, file in files.items():
        video.save_to(file, crf=20, preset=preset)
    assert files[None].getvalue() != files["ultrafast"].getvalue()
    assert read(files["ultrafast"])[0] == 22


def test_what_is_not_known_is_named_unless_it_asks_for_nothing(video) -> None:
    video.save_to(io.BytesIO(), alpha=None)
    with pytest.raises(ValueError, match="got alpha='straight' to save with, which is not known here"):
        video.save_to(io.BytesIO(), alpha="straight")


def test_colours_are_kept_and_not_converted(video) -> None:
    assert video.get_color_space() == "sRGB"
    video.save_to(io.BytesIO(), color_space="sRGB")
    with pytest.raises(ValueError, match="got the color space 'HDR' for a video in sRGB, expected sRGB"):
        video.save_to(io.BytesIO(), color_space="HDR")


@pytest.mark.parametrize(("transfer", "named"), [(16, "HDR PQ"), (18, "HDR"), (13, "sRGB"), (2, "auto"), (8, "auto")])
def test_colours_have_comfyui_s_names(video, transfer: int, named: str) -> None:
    video.video.info = replace(video.video.info, transfer=transfer)
    assert video.get_color_space() == named


def test_a_video_that_does_not_say_its_colours_has_those_it_is_given(video) -> None:
    video.video.info = replace(video.video.info, primaries=2, transfer=2)
    file = io.BytesIO()
    video.save_to(file, color_space="HDR PQ")
    assert read(file) == (22, 9, 16)


def test_matroska_is_written_by_name_alone(video, tmp_path) -> None:
    video.save_to(str(tmp_path / "finished.mkv"), format="mkv")
    with av.open(str(tmp_path / "finished.mkv")) as container:
        assert container.format.name.startswith("matroska")
    with pytest.raises(ValueError, match="got the format 'mkv'"):
        video.save_to(io.BytesIO(), format="mkv")


def test_edits_of_load_video_are_in_what_is_outpainted(pack, outpaint, two_scenes, load_video, tmp_path) -> None:
    """There a file is cut or scaled as it is read, and the file that it is read from is the whole one."""
    from comfy_api.latest import InputImpl, Types

    two_scenes.save_to(str(tmp_path / "whole.mp4"))
    images = two_scenes.get_components().images[:, :32, :24]

    class Edited(InputImpl.VideoFromFile):
        def has_pending_frame_edits(self) -> bool:
            return True

        def save_to(self, path: str, crf: float | None = None) -> None:
            rate = load_video(str(tmp_path / "whole.mp4")).get_frame_rate()
            parts = Types.VideoComponents(images=images, audio=None, frame_rate=rate)
            InputImpl.VideoFromComponents(parts).save_to(path, crf=crf)

    source = pack.module("nodes.host.video").open_source(Edited(str(tmp_path / "whole.mp4")), 0, lambda *_: None)
    assert source.info.size == (24, 32) and len(source.info.timeline) == len(images)
    found = torch.stack(list(source.frames()))
    # Colours have half the size in such a file.
    assert (found - images).mean(-1).abs().mean() < 0.02
