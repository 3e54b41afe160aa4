"""M3DDM Scene Board: the scenes of a video, and what M3DDM Outpaint Video makes of what was decided for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

FIRSTS, LENGTH = [0, 12, 24], 12


@pytest.fixture
def three(components: Any, shot: Any) -> Any:
    """A video of three scenes, 12 frames each."""
    return components(torch.cat([shot(seed, LENGTH) for seed in (1, 2, 3)]))


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI's input folder, empty."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    return tmp_path


def listed(pack: Any, video: Any, decisions: str = "", **asked: Any) -> Any:
    given = {"scene_cuts": True, "cut_threshold": 0.25, **asked}
    with torch.inference_mode():
        return pack.nodes["M3DDM_SceneBoard"].execute(video=video, decisions=decisions, **given)


def white(path: Path, size: tuple[int, int] = (86, 48)) -> str:
    from PIL import Image

    Image.new("RGB", size, "white").save(path)
    return path.name


def test_the_frozen_names(pack) -> None:
    schema = pack.nodes["M3DDM_SceneBoard"].GET_SCHEMA()
    assert [entry.id for entry in schema.inputs] == ["video", "scene_cuts", "cut_threshold", "decisions"]
    assert [entry.io_type for entry in schema.outputs] == ["STRING", "IMAGE"]


def test_scenes_are_listed_with_pictures(pack, three) -> None:
    output = listed(pack, three)
    board, strip = output.args
    assert json.loads(board) == {"cuts": FIRSTS[1:], "scenes": [{"first": first} for first in FIRSTS]}
    shown = output.ui
    assert shown["scenes"] == [[first, LENGTH, first / 25, LENGTH / 25] for first in FIRSTS]
    width, height, gap = shown["tile"]
    assert (width, height) == (85, 128) and strip.shape[1] == 3 * (height + gap) and shown["source_size"] == [32, 48]
    assert strip.min() >= 0 and strip.max() <= 1 and shown["strip"][0]["type"] == "temp"
    assert json.loads(listed(pack, three, scene_cuts=False).args[0]) == {"cuts": [], "scenes": [{"first": 0}]}


def test_what_is_decided_is_taken_over(pack, three) -> None:
    decisions = '{"scenes": [{"first": 12, "seed": 7, "anchor": [0.25, 0.5]}]}'
    board = json.loads(listed(pack, three, decisions).args[0])
    assert board["scenes"] == [{"first": 0}, {"first": 12, "seed": 7, "anchor": [0.25, 0.5]}, {"first": 24}]
    assert json.loads(listed(pack, three, json.dumps(board)).args[0]) == board, "its own output, once more"
    own = json.loads(listed(pack, three, '{"cuts": [20]}', cut_threshold=1.0).args[0])
    assert own == {"cuts": [20], "scenes": [{"first": 0}, {"first": 20}]}
    with pytest.raises(ValueError, match="got a scene that begins at frame 5 in the board"):
        listed(pack, three, '{"scenes": [{"first": 5}]}')


def test_only_the_scene_that_was_decided_for_changes(pack, three, outpaint) -> None:
    board = listed(pack, three, '{"scenes": [{"first": 12, "anchor": "left"}, {"first": 24, "leave": true}]}').args[0]
    plain, decided = (outpaint(three, board=text).get_components().images for text in ("", board))
    assert torch.equal(plain[:12], decided[:12])
    source = three.get_components().images
    right, room = plain.shape[2] - 32, (plain.shape[2] - 32) // 2
    assert torch.allclose(decided[12:24, :, 16:24], source[12:24, :, 16:24]) and decided[12:24, :, 40:].std() > 0
    assert torch.equal(decided[24:, :, room : room + 32], source[24:]) and not decided[24:, :, :room].any() and right


def test_a_guide_lies_in_the_input_folder(pack, three, outpaint, inputs) -> None:
    name = white(inputs / "white.png")
    board = json.dumps({"scenes": [{"first": 12, "guides": {"-1": name}}]})
    images = outpaint(three, board=board, seen="off").get_components().images
    assert (images[23, :, :8] > 0.85).all() and not (images[22, :, :8] > 0.85).all()
    node = pack.nodes["M3DDM_OutpaintVideo"]
    before = node.fingerprint_inputs(board=board)
    white(inputs / "white.png", (172, 96))
    assert node.fingerprint_inputs(board=board) != before
    assert node.fingerprint_inputs(board=None) == node.fingerprint_inputs(target="16:9") == []


BAD = {
    "no JSON": ("{", "got a board that is no JSON"),
    "elsewhere": ('{"scenes": [{"first": 0, "guides": {"0": "../a.png"}}]}', "got the guide '../a.png' in the board"),
    "absolute": ('{"scenes": [{"first": 0, "guides": {"0": "/etc/a.png"}}]}', "got the guide '/etc/a.png' in the"),
    "gone": ('{"scenes": [{"first": 0, "guides": {"0": "a.png"}}]}', "which is not in"),
    "deep": ("[" * 100_000, "nested too deep"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_board_that_is_none_is_told_before_anything_runs(kind, pack, inputs) -> None:
    text, message = BAD[kind]
    for node, name in (("M3DDM_OutpaintVideo", "board"), ("M3DDM_SceneBoard", "decisions")):
        told = pack.nodes[node].validate_inputs(**{name: text})
        assert isinstance(told, str) and message in told and "\n" not in told
        assert pack.nodes[node].validate_inputs(**{name: ""}) is True


def test_with_the_journal_only_the_changed_scene_is_sampled(pack, model, vae, three, tmp_path, monkeypatch) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    monkeypatch.delenv("M3DDM_JOURNAL")
    calls = []
    handle = model.model.diffusion_model.register_forward_pre_hook(lambda *given: calls.append(1))
    settings = pack.settings(steps=1, context_scale=1.0, global_scale=1.0)

    def images(board: str) -> torch.Tensor:
        calls.clear()
        video = pack.outpaint_video(
            model, vae, three, canvas_size=64, settings=settings, seen="off", board=board, colour_match="steady"
        )
        return video.get_components().images

    try:
        before = images("")
        assert len(calls) == 3, "one step of one clip a scene"
        after = images('{"scenes": [{"first": 12, "seed": 5}]}')
        assert len(calls) == 1
    finally:
        handle.remove()
    same = [torch.equal(*pair) for pair in zip(before.split(LENGTH), after.split(LENGTH), strict=True)]
    assert same == [True, False, True]


def test_with_the_journal_only_the_changed_scene_is_encoded(
    pack, model, components, shot, tmp_path, monkeypatch
) -> None:
    """With a VAE of ComfyUI's own, which can be told from others; the tests' stand-in cannot."""
    import comfy.sd
    import folder_paths

    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    monkeypatch.delenv("M3DDM_JOURNAL")
    encoded, encode = [], comfy.sd.VAE.encode
    monkeypatch.setattr(
        comfy.sd.VAE, "encode", lambda self, frames: encoded.append(len(frames)) or encode(self, frames)
    )
    settings = pack.settings(steps=1, context_scale=1.0, global_scale=1.0)

    video = components(torch.cat([shot(seed, 4) for seed in (1, 2, 3)]))
    same_seed, other_seed = '{"cuts": [4, 8]}', '{"cuts": [4, 8], "scenes": [{"first": 4, "seed": 5}]}'

    def images(board: str, vae_name: str = "m3ddm_demo_vae.safetensors") -> torch.Tensor:
        encoded.clear()
        (vae,) = pack.run("M3DDM_LoadVAE", vae_name=vae_name)
        made = pack.outpaint_video(model, vae, video, canvas_size=64, settings=settings, seen="off", board=board)
        return made.get_components().images

    before = images(same_seed)
    whole = sum(encoded)
    after = images(other_seed)
    assert sum(encoded) == whole // 3
    same = [torch.equal(*pair) for pair in zip(before.split(4), after.split(4), strict=True)]
    assert same == [True, False, True]
    assert torch.equal(images(same_seed), before) and not encoded
    folder = Path(folder_paths.get_folder_paths("vae")[0])
    other = folder / "m3ddm_other_vae.safetensors"
    content = bytearray((Path(__file__).resolve().parents[2] / "models" / "m3ddm_demo_vae.safetensors").read_bytes())
    content[-3] ^= 1
    other.write_bytes(content)
    try:
        images(same_seed, other.name)
    finally:
        other.unlink()
    assert sum(encoded) == whole, "one bit of the weights is another VAE"
