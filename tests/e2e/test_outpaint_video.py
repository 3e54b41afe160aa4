"""M3DDM Outpaint Video in a real server: a file in, a file out, a line of text in between."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from devtools.client import Prompt
from devtools.server import Server

pytestmark = pytest.mark.server


def graph(clip: str, **options: object) -> Prompt:
    """Load, outpaint, save; without the inputs that have come since and are not given."""
    asked = {
        **{"target": "pixels", "custom_ratio": "1:1", "anchor": "center", "fill": "smooth", "seed": 1},
        **{"canvas_size": 64, "canvas_shape": "square", "size_multiple": 2, "first_frames": 0},
        **{"scene_cuts": True, "cut_threshold": 0.25, "feather": 4, "colour_match": "none", "resampling": "lanczos"},
        **dict.fromkeys(("top", "bottom", "offset_x", "offset_y"), 0),
        **{
            "left": 32,
            "right": 32,
            "model": ["model", 0],
            "vae": ["vae", 0],
            "video": ["video", 0],
            "settings": ["settings", 0],
            **options,
        },
    }
    settings = {
        **{"steps": 4, "sampler": "pndm", "scheduler": "normal", "context_scale": 1.0, "global_scale": 1.0},
        **{"denoise": 1.0, "guide_noise": 0, "clips_per_batch": 1},
    }
    loader = {"checkpoint": "m3ddm_demo.safetensors", "weight_dtype": "default"}
    quality = {"codec": "h264", "codec.encoding": "re-encode", "codec.encoding.crf": 8}
    nodes = {
        "video": ("LoadVideo", {"file": clip}),
        "model": ("M3DDM_LoadCheckpoint", loader),
        "vae": ("M3DDM_LoadVAE", {"vae_name": "m3ddm_demo_vae.safetensors"}),
        "settings": ("M3DDM_SamplingSettings", settings),
        "outpaint": ("M3DDM_OutpaintVideo", asked),
        "save": ("SaveVideo", {"video": ["outpaint", 0], "filename_prefix": "whole", "format": "auto", **quality}),
    }
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def read(file: Path) -> tuple[np.ndarray, float, float]:
    """Frames (n, h, w, 3) uint8, frames a second, seconds of sound."""
    with av.open(str(file)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        fps, seconds = float(video.average_rate), float(sound.duration * sound.time_base)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video)]), fps, seconds


def test_from_file_to_file_in_one_pass_and_in_two(server: Server, small_clip: Path, tmp_path: Path) -> None:
    source, source_fps, source_seconds = read(small_clip)
    made, texts = [], []
    for name, options in (("one", {}), ("two", {"second_pass": 96, "second_denoise": 0.5})):
        result = server.client.run(graph(small_clip.name, **options))
        (written,) = result.files("save")
        frames, fps, seconds = read(server.client.fetch(written, tmp_path / f"{name}.mp4"))
        assert frames.shape == (20, 64, 112, 3) and fps == pytest.approx(source_fps, abs=1e-3)
        assert seconds == pytest.approx(source_seconds, abs=0.05)
        inside = frames[:, :, 32 + 4 : 32 + 48 - 4].astype(float) - source[:, :, 4:-4]
        assert np.abs(inside).mean() < 4
        made.append(frames)
        texts.append(result.texts["outpaint"])
        assert result.texts["save"][-1].startswith("20 frames finished in ")
    border = made[1][:, :, :32].astype(float) - made[0][:, :, :32]
    assert np.abs(border).mean() > 0.5, "the second pass left the border as it was"
    for told in texts:
        assert told[0].startswith("looking through the video, frame 1") and told[-1].startswith("20 frames in ")


def test_a_logo_goes_from_a_video_that_keeps_its_size(server: Server, small_clip: Path, tmp_path: Path) -> None:
    """With a mask of ComfyUI's own nodes, as one would wire them, in two passes."""
    prompt = graph(small_clip.name, left=0, right=0, source_mask=["mask", 0], second_pass=64)
    for name, size, value in (("none", (48, 64), 0.0), ("logo", (16, 24), 1.0)):
        given = {"value": value, "width": size[0], "height": size[1]}
        prompt[name] = {"class_type": "SolidMask", "inputs": given}
    put = {"destination": ["none", 0], "source": ["logo", 0], "x": 16, "y": 24, "operation": "add"}
    prompt["mask"] = {"class_type": "MaskComposite", "inputs": put}
    (written,) = server.client.run(prompt).files("save")
    frames, *_ = read(server.client.fetch(written, tmp_path / "logo.mp4"))
    source, *_ = read(small_clip)
    assert frames.shape == source.shape
    changed = np.abs(frames.astype(float) - source).mean((0, 3))
    assert changed[24:48, 16:32].mean() > 8, "the source still shows where the mask is"
    changed[20:52, 12:36] = 0
    assert changed.mean() < 4 and changed.max() < 40


def test_scenes_go_as_their_board_has_it(server: Server, small_clip: Path, tmp_path: Path) -> None:
    """The board over its wire: the first scene is left as it is, the second lies at the left."""
    decisions = '{"cuts": [10], "scenes": [{"first": 0, "leave": true}, {"first": 10, "anchor": "left"}]}'
    board = {"video": ["video", 0], "scene_cuts": True, "cut_threshold": 0.25, "decisions": decisions}
    prompt = graph(small_clip.name, board=["board", 0])
    prompt["board"] = {"class_type": "M3DDM_SceneBoard", "inputs": board}
    result = server.client.run(prompt)
    assert [scene[:2] for scene in result.outputs["board"]["scenes"]] == [[0, 10], [10, 10]]
    (written,) = result.files("save")
    frames, *_ = read(server.client.fetch(written, tmp_path / "board.mp4"))
    source, *_ = read(small_clip)
    assert frames[:10, :, :28].mean() < 4 and frames[:10, :, 84:].mean() < 4, "black around it"
    assert np.abs(frames[:10, :, 36:76].astype(float) - source[:10, :, 4:-4]).mean() < 4
    assert np.abs(frames[10:, :, :44].astype(float) - source[10:, :, :-4]).mean() < 4 < frames[10:, :, 60:].mean()
