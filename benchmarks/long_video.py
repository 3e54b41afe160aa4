"""Memory and time of a long video through M3DDM Outpaint Video and Save Video, with a plot.

    COMFYUI_PATH=... PYTHON -m benchmarks.long_video --seconds 180

PYTHON is ComfyUI's own (matplotlib, psutil and PyAV in it). A textured world under a panning camera, with sound and a
cut every minute, is written to a file first, in a process of its own. What is measured is the streaming itself: a
sampler that returns what it is given and an autoencoder of block means stand in for the networks, whose memory and time
`python run.py bench` tells. Memory is the resident size of the process, less what it is before the node runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from m3ddm_core.canvas.placement import LATENT_SCALE

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 6e9
SCENE_SECONDS = 60
SOUND_RATE = 48_000


def make_clip(path: str, width: int, height: int, frames: int, rate: int) -> None:
    """Write the video: H.264, AAC in stereo."""
    import av
    import numpy as np

    draw = np.random.default_rng(0)
    scene, picture = -1, None
    with av.open(path, "w") as container:
        stream = container.add_stream("h264", rate=rate, options={"preset": "ultrafast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        for number in range(frames):
            if number // (SCENE_SECONDS * rate) != scene:
                scene += 1
                coarse = draw.integers(0, 255, (height // 24, width // 8, 3), dtype=np.uint8)
                tile = av.VideoFrame.from_ndarray(coarse, format="rgb24").reformat(width * 3, height)
                picture = tile.to_ndarray(format="rgb24")
            column = 4 * number % (2 * width)
            view = np.ascontiguousarray(picture[:, column : column + width])
            frame = av.VideoFrame.from_ndarray(view, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
            hum = np.sin(np.arange(SOUND_RATE // rate) / 20, dtype=np.float32)[None].repeat(2, 0) / 4
            block = av.AudioFrame.from_ndarray(hum, format="fltp", layout="stereo")
            block.sample_rate, block.pts = SOUND_RATE, number * (SOUND_RATE // rate)
            container.mux(sound.encode(block))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))


class Memory:
    """The process's resident size over time, by stage."""

    def __init__(self) -> None:
        import psutil

        self.process = psutil.Process()
        self.samples: list[tuple[float, int]] = []
        self.marks: list[tuple[str, float, float]] = []
        self.begun = time.monotonic()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.base = self.process.memory_info().rss
        self.thread.start()

    def _watch(self) -> None:
        while not self.stopped.wait(0.1):
            self.samples.append((time.monotonic() - self.begun, self.process.memory_info().rss))

    def mark(self, name: str) -> None:
        """A stage begins, and the one before it ends."""
        self.marks.append((name, time.monotonic() - self.begun, time.process_time()))

    def stages(self) -> list[dict[str, Any]]:
        """Name, begin and end on the clock, and seconds of processor time, of each stage but the last."""
        return [
            {"name": name, "begin": begin, "end": end, "processor": later - cpu}
            for (name, begin, cpu), (_, end, later) in pairwise(self.marks)
        ]

    @property
    def peak(self) -> int:
        return max(size for _, size in self.samples) - self.base


def load_pack() -> tuple[Any, Callable[[str], Any]]:
    """The pack in a ComfyUI without a server: its video node, and a function that imports its modules."""
    import importlib

    host = os.environ.get("COMFYUI_PATH")
    if not host:
        raise SystemExit("COMFYUI_PATH: got nothing, expected the folder of a ComfyUI")
    sys.path[:] = [host] + [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    sys.argv[1:] = ["--cpu"]
    # What is measured is done whole, not taken up from an earlier run.
    os.environ["M3DDM_JOURNAL"] = "0"
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    assert asyncio.run(nodes.load_custom_node(str(ROOT))), "ComfyUI could not load the pack; see the log"
    name = str(ROOT).replace(".", "_x_")
    return nodes.NODE_CLASS_MAPPINGS["M3DDM_OutpaintVideo"], lambda path: importlib.import_module(f"{name}.{path}")


class BlockMeans:
    """An autoencoder that costs next to nothing: latents are the mean colours of blocks, and one channel of 0."""

    def encode(self, frames: Any) -> Any:
        import torch

        means = torch.nn.functional.avg_pool2d(frames.movedim(-1, 1), LATENT_SCALE)
        return torch.cat([means, torch.zeros_like(means[:, :1])], dim=1)

    def decode(self, latents: Any) -> Any:
        colours = latents[:, :3].repeat_interleave(LATENT_SCALE, 2).repeat_interleave(LATENT_SCALE, 3)
        return colours.movedim(1, -1)


def as_given(conditions: Any, start: Any, noise: Any, callback: Callable[..., None]) -> Any:
    """A sampler of clips that returns what it starts from."""
    callback(0, 1, start)
    return start


def followed_by(work: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    """The same work, and something after it."""

    def both(*given: Any) -> Any:
        result = work(*given)
        then()
        return result

    return both


def measure(clip: str, out: str, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(options.threads)
    node, module = load_pack()
    import comfy.latent_formats
    from comfy_api.latest import InputImpl

    video_node, pipeline = module("nodes.outpaint_video"), module("m3ddm_core.pipeline")
    memory = Memory()
    video_node.require_m3ddm = lambda model: None
    video_node.comfy_models = lambda model, vae: module("m3ddm_core.models").Models(
        vae.encode, vae.decode, sampler=lambda settings, seed: as_given, clips_at_once=lambda settings, h, w: 1
    )
    pipeline.find_cuts = followed_by(pipeline.find_cuts, lambda: memory.mark("look around"))
    pipeline.look_at_source = followed_by(pipeline.look_at_source, lambda: memory.mark("encode"))
    model = SimpleNamespace(
        load_device=torch.device("cpu"), model=SimpleNamespace(latent_format=comfy.latent_formats.SD15())
    )
    inputs = {entry.id: entry.default for entry in node.GET_SCHEMA().inputs if hasattr(entry, "default")}
    inputs |= {"target": options.target, "canvas_size": options.canvas, "second_pass": options.second_pass}
    inputs |= {"seen": options.seen}
    settings = module("m3ddm_core.sampling.settings").SamplingSettings(steps=1)
    with torch.inference_mode():
        memory.mark("look through")
        source = InputImpl.VideoFromFile(clip)
        (video,) = node.execute(model=model, vae=BlockMeans(), video=source, settings=settings, **inputs).args
        memory.mark("composite and save")
        video.save_to(out)
        memory.mark("end")
    memory.stopped.set()
    frames = video.get_frame_count()
    return {
        "frames": frames,
        "seconds_of_video": video.get_duration(),
        "source": source.get_dimensions(),
        "finished": video.get_dimensions(),
        "scenes": [len(scene) for scene in video.video.scenes],
        "latents_bytes": sum(scene.latents.nbytes for scene in video.video.scenes),
        "base_bytes": memory.base,
        "peak_bytes": memory.peak,
        "stages": memory.stages(),
        "processor_milliseconds_a_frame": {
            stage["name"]: 1000 * stage["processor"] / frames for stage in memory.stages()
        },
        "all_frames_as_floats_bytes": 12 * frames * video.get_dimensions()[0] * video.get_dimensions()[1],
        "samples": memory.samples,
    }


def draw(result: dict[str, Any], path: Path) -> None:
    """Plot memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4), dpi=120)
    times, sizes = zip(*result["samples"], strict=True)
    axes.plot(times, [(size - result["base_bytes"]) / 1e9 for size in sizes], color="#0f766e")
    axes.axhline(LIMIT / 1e9, color="#b91c1c", linestyle="--")
    axes.text(times[-1], LIMIT / 1e9, "limit 6 GB ", ha="right", va="bottom", color="#b91c1c")
    for number, stage in enumerate(result["stages"]):
        begin, end = stage["begin"], stage["end"]
        axes.axvspan(begin, end, color="#a1a1aa", alpha=0.12 + 0.12 * (number % 2))
        middle = max((begin + end) / 2, times[-1] / 20)
        axes.text(middle, (0.93 - 0.1 * (number % 2)) * LIMIT / 1e9, stage["name"], ha="center", va="top")
    minutes, seconds = divmod(round(result["seconds_of_video"]), 60)
    (width, height), (wide, high) = result["source"], result["finished"]
    axes.set_title(
        f"{minutes}:{seconds:02d} min, {result['frames']} frames, {width}x{height} to {wide}x{high}: "
        f"peak {result['peak_bytes'] / 1e9:.2f} GB beside the model"
    )
    axes.set(xlabel="seconds of work", ylabel="GB of memory", ylim=(0, 1.1 * LIMIT / 1e9), xlim=(0, times[-1]))
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--rate", type=int, default=25, help="frames a second")
    parser.add_argument("--size", type=int, nargs=2, default=(1920, 1080), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--clip", help="a video of your own, in place of the one that is made")
    parser.add_argument("--target", default="21:9")
    parser.add_argument("--canvas", type=int, default=256)
    parser.add_argument("--second-pass", type=int, default=0, help="canvas of a second pass (default: none)")
    parser.add_argument("--seen", default="both", choices=("off", "start", "layer", "both"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for long_video.json and .png")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or f"{folder}/clip.mp4"
        if not options.clip:
            arguments = (clip, *options.size, options.seconds * options.rate, options.rate)
            maker = multiprocessing.get_context("spawn").Process(target=make_clip, args=arguments)
            maker.start()
            maker.join()
        result = measure(clip, f"{folder}/finished.mp4", options)
    draw(result, options.out / "long_video.png")
    shown = {key: value for key, value in result.items() if key != "samples"}
    (options.out / "long_video.json").write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
