"""M3DDM Save Video: every kind of file, whole or not at all, and refused before anything runs."""

from __future__ import annotations

import json
import types
from collections import Counter
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


@pytest.mark.parametrize(
    "asked",
    [{"format": "h264"}, {"format": "hevc", "bit_depth": "10"}, {"format": "png"}],
    ids=lambda asked: asked["format"],
)
def test_of_a_board_with_one_other_scene_only_that_is_made(asked, save, pack, model, components, tmp_path, monkeypatch):
    """From Outpaint Video to the file, with a VAE of ComfyUI's own: what goes through the networks, and each packet."""
    import comfy.sd
    import folder_paths

    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    monkeypatch.delenv("M3DDM_JOURNAL")
    done = Counter()
    for name in ("encode", "decode"):
        through = getattr(comfy.sd.VAE, name)

        def counted(self: Any, given: Any, name: str = name, through: Any = through) -> Any:
            done[name] += len(given)
            return through(self, given)

        monkeypatch.setattr(comfy.sd.VAE, name, counted)
    handle = model.model.diffusion_model.register_forward_pre_hook(lambda *given: done.update(["network"]))
    (vae,) = pack.run("M3DDM_LoadVAE", vae_name="m3ddm_demo_vae.safetensors")
    settings = pack.settings(steps=1, context_scale=1.0, global_scale=1.0)
    scenes = [torch.rand(1, 3, 6, 10, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    wide = [torch.nn.functional.interpolate(scene, (64, 76), mode="bilinear")[0] for scene in scenes]
    frames = torch.stack([each[:, :, step : step + 64] for each in wide for step in range(4)]).movedim(1, -1)

    def made(board: str) -> tuple[list[Any], dict[str, int], Path]:
        done.clear()
        video = pack.outpaint_video(
            model, vae, components(frames), canvas_size=64, settings=settings, seen="off", board=board
        )
        with torch.inference_mode():
            saved, shown = save(video, **asked)
        return stored(saved), dict(done), shown

    try:
        before, whole, _ = made('{"cuts": [4, 8]}')
        after, again, shown = made('{"cuts": [4, 8], "scenes": [{"first": 4, "seed": 5}]}')
        _, nothing, _ = made('{"cuts": [4, 8]}')
        monkeypatch.setenv("M3DDM_JOURNAL", "0")
        plain, all_of_it, looks = made('{"cuts": [4, 8], "scenes": [{"first": 4, "seed": 5}]}')
    finally:
        handle.remove()
    assert set(whole) == {"encode", "decode", "network"} and whole["decode"] == 12
    assert again == {name: count // 3 for name, count in whole.items()} and nothing == {} and all_of_it == whole
    same = [before[first : first + 4] == after[first : first + 4] for first in (0, 4, 8)]
    assert same == [True, False, True] and len(after) == 12 and plain == after
    assert shown.read_bytes() == looks.read_bytes() or shown.parent.name == "some", "what is shown meanwhile, too"


def stored(saved: Path) -> list[Any]:
    """The packets of a file, or the pictures of a folder."""
    if saved.is_dir():
        # The first has the graph in its head.
        return [path.read_bytes()[-1000:] for path in sorted(saved.glob("*.png"))]
    with av.open(str(saved)) as container:
        found = container.demux(container.streams.video[0])
        return [(packet.pts, packet.dts, packet.is_keyframe, bytes(packet)) for packet in found if packet.size]
