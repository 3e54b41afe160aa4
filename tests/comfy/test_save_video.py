"""M3DDM Save Video: every kind of file, whole or not at all, and refused before anything runs."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import av
import pytest
import torch

NAME = "M3DDM_SaveVideo"
GRAPH = {"prompt": {"1": {"class_type": "x"}}, "workflow": {"nodes": []}}


@pytest.fixture
def save(pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the node with folders of its own, as if within a graph; gives the file or folder, and what is shown."""
    import folder_paths

    folder_paths.set_output_directory(str(tmp_path / "output"))
    folder_paths.set_temp_directory(str(tmp_path / "temp"))
    hidden = types.SimpleNamespace(prompt=GRAPH["prompt"], extra_pnginfo={"workflow": GRAPH["workflow"]})
    monkeypatch.setattr(pack.nodes[NAME], "hidden", hidden, raising=False)

    def run(video: Any, **options: Any) -> tuple[Path, Path]:
        asked = {"filename_prefix": "some/name", "format": "h264", "quality": 18.0, "bit_depth": "like source"}
        output = pack.nodes[NAME].execute(video=video, **{**asked, **options})
        assert output.args == (video,)
        (saved,), (shown,) = output.ui["files"], output.ui["images"]
        saved, shown = (tmp_path / entry["type"] / entry["subfolder"] / entry["filename"] for entry in (saved, shown))
        assert saved.is_file() and shown.is_file()
        return (saved.parent if saved.name == "video.json" else saved), shown

    return run


@pytest.mark.parametrize(
    ("name", "suffix"), [("h264", ".mp4"), ("hevc", ".mp4"), ("prores", ".mov"), ("ffv1", ".mkv"), ("png", "")]
)
def test_every_kind_is_written_with_its_graph_and_shown(name, suffix, save, components, shot):
    saved, shown = save(components(shot(1, 6)), format=name)
    assert saved.name == f"name_00001_{suffix}" and saved.parent.name == "some"
    read = saved / "000001.png" if saved.is_dir() else saved
    with av.open(str(read)) as container:
        texts = {key.lower(): text for key, text in {**container.metadata, **texts_of(read)}.items()}
        assert {key: json.loads(texts[key]) for key in GRAPH} == GRAPH
        if not saved.is_dir():
            assert sum(1 for _ in container.decode(video=0)) == 6 and container.streams.audio
    assert (shown == saved) == (name == "h264")
    with av.open(str(shown)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6
        assert container.streams.video[0].codec_context.name == "h264"
    assert save(components(shot(1, 6)), format=name)[0].name == f"name_00002_{suffix}"


def texts_of(path: Path) -> dict[str, str]:
    from PIL import Image

    if path.suffix != ".png":
        return {}
    with Image.open(path) as picture:
        return dict(picture.text)


def test_an_outpainted_video_is_saved_as_it_is_made(save, outpaint, two_scenes, pack):
    video = outpaint(two_scenes, feather=0)
    saved, _ = save(video, format="ffv1", bit_depth="10")
    frames = torch.stack(list(pack.module("m3ddm_core.video.file").FileSource(str(saved)).frames()))
    assert (frames - torch.stack(list(video.video.frames()))).abs().max() <= 0.51 / 1023


def test_stopping_leaves_nothing(save, components, shot, monkeypatch, tmp_path):
    import comfy.model_management

    def stop() -> None:
        raise comfy.model_management.InterruptProcessingException

    for name in ("h264", "prores", "png"):
        video = components(shot(1, 6))
        with monkeypatch.context() as patched:
            patched.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", stop)
            with pytest.raises(comfy.model_management.InterruptProcessingException):
                save(video, format=name)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


WRONG = [
    ({"format": "avi"}, "got the format 'avi', expected one of h264"),
    ({"bit_depth": "12"}, "got the bit depth '12', expected one of like source, 8, 10"),
]


@pytest.mark.parametrize(("asked", "message"), WRONG)
def test_what_cannot_be_written_is_told_before_anything_runs(asked, message, pack):
    node = pack.nodes[NAME]
    assert message in node.validate_inputs(**{"format": "h264", "bit_depth": "like source", **asked})
    assert node.validate_inputs(format="hevc", bit_depth="10") is True
    assert node.validate_inputs(format="prores", bit_depth="8") is True, "which is not shown beside it"
    assert node.validate_inputs(format=None, bit_depth="10") is True, "comes over a wire"


def test_prores_has_ten_bits_whatever_was_chosen_before(save, components, shot):
    with av.open(str(save(components(shot(1, 2)), format="prores", bit_depth="8")[0])) as container:
        assert container.streams.video[0].format.name == "yuv422p10le"


def test_odd_sides_are_told(save, components):
    with pytest.raises(ValueError, match="got frames of 33x24, expected even sides, which hevc asks for"):
        save(components(torch.rand(2, 24, 33, 3)), format="hevc")
    save(components(torch.rand(2, 24, 33, 3)), format="ffv1")


def test_nothing_is_told_of_the_graph_where_that_is_not_wanted(save, components, shot, monkeypatch):
    from comfy.cli_args import args

    monkeypatch.setattr(args, "disable_metadata", True)
    with av.open(str(save(components(shot(1, 2)))[0])) as container:
        assert not GRAPH.keys() & container.metadata.keys()
