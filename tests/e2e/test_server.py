"""The nodes in a real server, through its API: what is written, repeated, cancelled, kept and refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from devtools.client import Interrupted, Progress, Prompt, PromptError
from devtools.server import Server, link_file
from devtools.weights import DEMO

pytestmark = pytest.mark.server

Start = Callable[..., AbstractContextManager[Server]]

# Frozen: saved workflows hold these names, so one may be added at the end but none changed.
NODES = {
    "M3DDM_LoadCheckpoint": ("checkpoint", "weight_dtype"),
    "M3DDM_LoadVAE": ("vae_name",),
    "M3DDM_DemoClip": (),
    "M3DDM_VideoFrames": ("video",),
    "M3DDM_Fleet": ("address", "workers", "gpus"),
    "M3DDM_VideoFolder": ("folder", "first", "most"),
    "M3DDM_EdgeMask": (
        *("images", "target", "custom_ratio", "left", "top", "right", "bottom", "anchor", "offset_x", "offset_y"),
        *("canvas_size", "canvas_shape", "fill", "size_multiple", "first_frames", "source_mask"),
    ),
    "M3DDM_SeenPixels": ("images", "placement", "scene_cuts", "cut_threshold"),
    "M3DDM_MoveFrames": ("images", "path", "width", "height", "mask"),
    "M3DDM_EncodeGlobalFrames": ("frames", "vae", "count", "source_mask"),
    "M3DDM_EncodeContext": ("canvas", "mask", "global_frames", "vae", "fps", "placement"),
    "M3DDM_GuideFrames": ("state", "images", "vae", "frame_numbers"),
    "M3DDM_SamplingSettings": (
        *("steps", "sampler", "scheduler", "context_scale", "global_scale", "denoise", "guide_noise"),
        "clips_per_batch",
    ),
    "M3DDM_SampleKeyframes": ("model", "state", "seed", "stride", "settings"),
    "M3DDM_SampleInterpolation": ("model", "state", "seed", "stride", "settings"),
    "M3DDM_SampleInfill": ("model", "state", "seed", "settings"),
    "M3DDM_ForgetFrames": ("state", "frame_numbers", "forget_guides"),
    "M3DDM_Composite": (
        *("source", "generated", "placement", "feather", "colour_match", "resampling", "blend", "source_mask"),
        "seen",
    ),
    "M3DDM_SecondPass": ("source", "generated", "placement", "canvas_size", "canvas_shape", "source_mask"),
    "M3DDM_TiledModel": ("model", "tile_size", "overlap"),
    "M3DDM_ClipConditioning": ("state", "stride", "clip_number"),
    "M3DDM_ClipResult": ("state", "latent", "clip"),
    "M3DDM_CropVideo": ("video", "crop", "top", "bottom", "left", "right"),
    "M3DDM_SceneBoard": ("video", "scene_cuts", "cut_threshold", "decisions"),
    "M3DDM_SaveVideo": ("video", "filename_prefix", "format", "quality", "bit_depth"),
    "M3DDM_OutpaintVideo": (
        "model",
        "vae",
        "video",
        "target",
        "custom_ratio",
        "left",
        "top",
        "right",
        "bottom",
        "anchor",
        "offset_x",
        "offset_y",
        "canvas_size",
        "canvas_shape",
        "fill",
        "size_multiple",
        "first_frames",
        "seed",
        "scene_cuts",
        "cut_threshold",
        "feather",
        "colour_match",
        "resampling",
        "blend",
        "settings",
        "second_pass",
        "second_denoise",
        "source_mask",
        "seen",
    ),
}


def graph(clip: str, *, target: str = "1:1", seed: int = 1, steps: int = 2, checkpoint: str = "m3ddm_demo.safetensors"):
    """A whole way from file to file on a 64-pixel canvas; the nodes' names are their ids."""
    prompt: Prompt = {}

    def node(name: str, class_type: str, **inputs: Any) -> None:
        prompt[name] = {"class_type": class_type, "inputs": inputs}

    node("video", "LoadVideo", file=clip)
    node("parts", "GetVideoComponents", video=["video", 0])
    node("model", "M3DDM_LoadCheckpoint", checkpoint=checkpoint, weight_dtype="default")
    node("vae", "M3DDM_LoadVAE", vae_name="m3ddm_demo_vae.safetensors")
    node(
        *("edge", "M3DDM_EdgeMask"),
        **{"images": ["parts", 0], "target": target, "custom_ratio": "1:1", "anchor": "center", "fill": "smooth"},
        **{"canvas_size": 64, "canvas_shape": "square", "size_multiple": 2, "first_frames": 0},
        **dict.fromkeys(("left", "top", "right", "bottom", "offset_x", "offset_y"), 0),
    )
    node("globals", "M3DDM_EncodeGlobalFrames", frames=["edge", 3], vae=["vae", 0], count=16)
    node(
        *("context", "M3DDM_EncodeContext"),
        **{"canvas": ["edge", 0], "mask": ["edge", 1], "global_frames": ["globals", 0], "vae": ["vae", 0]},
        **{"fps": ["parts", 2], "placement": ["edge", 2]},
    )
    node(
        *("settings", "M3DDM_SamplingSettings"),
        **{"steps": steps, "sampler": "pndm", "scheduler": "normal", "context_scale": 2.0, "global_scale": 4.0},
        **{"denoise": 1.0, "guide_noise": 0, "clips_per_batch": 1},
    )
    common = {"model": ["model", 0], "seed": seed, "settings": ["settings", 0]}
    node("keyframes", "M3DDM_SampleKeyframes", **common, state=["context", 0], stride=15)
    node("between", "M3DDM_SampleInterpolation", **common, state=["keyframes", 0], stride=5)
    node("infill", "M3DDM_SampleInfill", **common, state=["between", 0])
    node("decoded", "VAEDecode", samples=["infill", 1], vae=["vae", 0])
    node(
        *("composite", "M3DDM_Composite"),
        **{"source": ["edge", 3], "generated": ["decoded", 0], "placement": ["edge", 2]},
        **{"feather": 4, "colour_match": "none", "resampling": "lanczos"},
    )
    node("result", "CreateVideo", images=["composite", 0], fps=["parts", 2], audio=["parts", 1])
    quality = {"codec": "h264", "codec.encoding": "re-encode", "codec.encoding.crf": 8}
    node("save", "SaveVideo", video=["result", 0], filename_prefix="m3ddm", format="auto", **quality)
    return prompt


def choices(spec: Any) -> list[Any] | None:
    """What a combo offers; None for other inputs."""
    return spec[0] if isinstance(spec[0], list) else spec[1].get("options") if len(spec) > 1 else None


def run(server: Server, prompt: Prompt, target: Path) -> Path:
    """Run a prompt and fetch its video as ``target``."""
    (written,) = server.client.run(prompt).files("save")
    return server.client.fetch(written, target)


def read(file: Path) -> tuple[np.ndarray, float, np.ndarray, int]:
    """Frames (n, h, w, 3) uint8, frames a second, sound (channels, samples) float32, samples a second."""
    with av.open(str(file)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        fps, rate = float(video.average_rate), sound.rate
        frames, parts = [], []
        for frame in container.decode(video, sound):
            if isinstance(frame, av.VideoFrame):
                frames.append(frame.to_ndarray(format="rgb24"))
            else:
                parts.append(frame.to_ndarray())
    return np.stack(frames), fps, np.concatenate(parts, axis=1), rate


def source_area(frames: np.ndarray, source: np.ndarray, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """The centred source's pixels in both, less a margin on the sides where the border is generated."""
    left = (frames.shape[2] - source.shape[2]) // 2
    width = source.shape[2]
    return frames[:, :, left + margin : left + width - margin], source[:, :, margin : width - margin]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Over all frames, in dB of 8-bit values."""
    return 10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2))


@pytest.fixture(scope="module")
def outpainted(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack's own clip, 64 frames on three levels, made 16:9."""
    return run(server, graph("big_buck_bunny.mp4", target="16:9"), tmp_path_factory.mktemp("out") / "long.mp4")


def test_all_nodes_are_there_with_the_frozen_input_names(server: Server) -> None:
    info = server.client.object_info()
    assert {name for name in info if name.startswith("M3DDM_")} == set(NODES)
    for name, inputs in NODES.items():
        order = info[name]["input_order"]
        assert tuple(order.get("required", []) + order.get("optional", []))[: len(inputs)] == inputs, name
        assert info[name]["category"] == "M3DDM"


def test_nothing_of_ours_is_in_the_lists_of_others(server: Server) -> None:
    """The first of a list is the default of a new node, in every workflow that a user makes."""
    ours = {DEMO.checkpoint.name, DEMO.vae.name}
    for kind, info in server.client.object_info().items():
        specs = [spec for group in ("required", "optional") for spec in info["input"].get(group, {}).values()]
        offered = {str(choice) for spec in specs for choice in choices(spec) or ()}
        assert kind in ("M3DDM_LoadCheckpoint", "M3DDM_LoadVAE") or not offered & ours, kind


def test_the_written_video_has_the_frames_rate_and_sound_of_the_input(outpainted: Path, clip: Path) -> None:
    frames, fps, sound, rate = read(outpainted)
    source, source_fps, source_sound, source_rate = read(clip)
    assert frames.shape == (64, 360, 640, 3)
    assert len(frames) == len(source)
    assert fps == pytest.approx(source_fps, abs=1e-3)
    assert rate == source_rate
    assert sound.shape[1] / rate == pytest.approx(source_sound.shape[1] / source_rate, abs=0.05)
    count = min(sound.shape[1], source_sound.shape[1])
    alike = np.corrcoef(sound[0, :count], source_sound[0, :count])[0, 1]
    assert alike > 0.9, "the sound is not the input's"


def test_the_source_is_in_the_written_video(outpainted: Path, clip: Path) -> None:
    inside, source = source_area(read(outpainted)[0], read(clip)[0], margin=8)
    assert psnr(inside, source) >= 40.0


def test_the_border_of_the_written_video_is_painted(outpainted: Path) -> None:
    frames = read(outpainted)[0]
    for border in (frames[:, :, :170], frames[:, :, -170:]):
        assert border.std() > 5.0 and 5.0 < border.mean() < 250.0


def test_a_fractional_frame_rate_is_kept(server: Server, small_clip: Path, tmp_path: Path) -> None:
    frames, fps, _, _ = read(run(server, graph(small_clip.name), tmp_path / "out.mp4"))
    assert frames.shape == (20, 64, 64, 3)
    assert fps == pytest.approx(30000 / 1001, abs=1e-3)


def finished_frames(server: Server, prompt: Prompt, folder: Path) -> np.ndarray:
    """Frames (n, h, w, 3) uint8 as they go into the encoder: from the same ones x264 makes other files now and then."""
    (composite,) = (name for name, node in prompt.items() if node["class_type"] == "M3DDM_Composite")
    saver = {"class_type": "SaveImage", "inputs": {"images": [composite, 0], "filename_prefix": "frame"}}
    files = server.client.run({**prompt, "frames": saver}).files("frames")
    folder.mkdir()
    fetched = [server.client.fetch(file, folder / f"{number}.png") for number, file in enumerate(files)]
    return np.stack([np.asarray(Image.open(file)) for file in fetched])


def test_two_fresh_servers_make_the_same_frames(start: Start, small_clip: Path, tmp_path: Path) -> None:
    made = []
    for number in range(2):
        with start() as fresh:
            made.append(finished_frames(fresh, graph(small_clip.name, seed=5), tmp_path / f"{number}"))
            if number == 1:
                other = finished_frames(fresh, graph(small_clip.name, seed=6), tmp_path / "other")
    assert made[0].shape == (20, 64, 64, 3) and np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], other), "the seed changes nothing, so equality proves nothing"


def test_another_seed_for_one_level_runs_nothing_before_it(server: Server, small_clip: Path) -> None:
    prompt = graph(small_clip.name, seed=21)
    server.client.run(prompt)
    prompt["infill"]["inputs"]["seed"] = 22
    result = server.client.run(prompt)
    assert {"model", "context", "keyframes", "between"} <= set(result.cached)
    assert {"infill", "decoded", "composite", "save"} <= set(result.node_seconds)


def test_a_range_of_frames_is_made_anew_and_nothing_else(server: Server, small_clip: Path, tmp_path: Path) -> None:
    prompt = graph(small_clip.name, seed=23)
    before = finished_frames(server, prompt, tmp_path / "before")
    prompt["forget"] = {
        "class_type": "M3DDM_ForgetFrames",
        "inputs": {"state": ["infill", 0], "frame_numbers": "5-9, -1", "forget_guides": False},
    }
    again = {**prompt["infill"]["inputs"], "state": ["forget", 0], "seed": 24}
    prompt["again"] = {"class_type": "M3DDM_SampleInfill", "inputs": again}
    prompt["decoded"]["inputs"]["samples"] = ["again", 1]
    after = finished_frames(server, prompt, tmp_path / "after")
    differs = [number for number in range(20) if not np.array_equal(before[number], after[number])]
    assert differs == [5, 6, 7, 8, 9, 19]


def test_nodes_say_what_they_do(server: Server, small_clip: Path) -> None:
    texts = server.client.run(graph(small_clip.name, seed=25, steps=10)).texts
    assert set(texts) == {"infill"}, "20 frames need no keyframes"
    assert texts["infill"][0] == "clip 1 of 2" and texts["infill"][-1].startswith("2 clips in ")


def test_cancelling_stops_soon_and_the_next_run_succeeds(server: Server, small_clip: Path, tmp_path: Path) -> None:
    """Soon: before the first clip, of two, is done. Steps that were told of before the server heard of it count too."""
    heard, steps = [], 500

    def cancel(progress: Progress) -> None:
        if progress.node == "infill" and progress.value >= 2:
            if not heard:
                server.client.interrupt()
            heard.append(progress)

    with pytest.raises(Interrupted):
        server.client.run(graph(small_clip.name, seed=11, steps=steps), cancel)
    assert {progress.maximum for progress in heard} == {2 * steps} and heard[-1].value < steps
    frames = read(run(server, graph(small_clip.name, seed=11), tmp_path / "after.mp4"))[0]
    assert frames.shape == (20, 64, 64, 3)


def test_memory_stays_over_ten_runs(start: Start, small_clip: Path) -> None:
    held = []
    with start() as fresh:
        process = psutil.Process(fresh.pid)
        for seed in range(10):
            fresh.client.run(graph(small_clip.name, seed=seed))
            held.append(process.memory_info().rss / 2**20)
    told = " ".join(f"{mib:.0f}" for mib in held)
    print(f"MiB after each run: {told}")
    assert held[9] - held[2] <= 64.0, told


def test_a_file_of_another_kind_is_named_by_the_loader(server: Server, small_clip: Path) -> None:
    link_file(DEMO.vae, server.base / "models" / "diffusion_models" / "not_m3ddm.safetensors")
    with pytest.raises(PromptError, match=r"(?s)M3DDM_LoadCheckpoint.*looks like a VAE") as caught:
        server.client.run(graph(small_clip.name, checkpoint="not_m3ddm.safetensors"))
    assert caught.value.node == "model"


def test_a_file_that_is_not_there_is_refused_before_anything_runs(server: Server, small_clip: Path) -> None:
    with pytest.raises(PromptError, match=r"gone\.safetensors") as caught:
        server.client.run(graph(small_clip.name, checkpoint="gone.safetensors"))
    assert caught.value.kind == "refused"
