"""Measure a guided denoising step, a clip and a video, beside the published code where a checkout of it is given.

Each side is measured in a process of its own, so that neither its
weights nor its memory stand in the other's way. A published checkout is run as it is, not copied.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from m3ddm_core.canvas.placement import LATENT_SCALE
from m3ddm_core.outpaint.plan import CLIP_LENGTH, THREE_LEVEL_FRAMES, plan_video
from m3ddm_core.sampling.pndm import sample_pndm
from m3ddm_core.sampling.settings import PRESETS

from . import network as networks
from . import report
from .evaluations import clip_evaluations

RELEASE_STEPS = 50
VIDEO_FRAMES = 240
TIMESTEP = 481
MATRIX_SIDES = {"cpu": 2048, "cuda": 8192}
"""Of the matrix product whose rate a step's is compared with: what fills the device."""


@dataclass
class Result:
    """What one side took; times in seconds, memory in bytes, operations as torch's counter counts them."""

    name: str
    step_seconds: float
    step_seconds_all: list[float]
    step_evaluations: int
    step_flops: float
    branch_flops: dict[str, float]
    peak_bytes: int
    clip_steps: int
    clip_seconds: float | None
    video_clips: int
    video_evaluations: int
    video_seconds: float
    matrix_rate: float


class PeakMemory:
    """Bytes that a ``with`` block needs at most beyond what was held before it; on a CPU, of the whole process."""

    def __init__(self, device: str):
        self.device = torch.device(device)
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        self.before = self._now()
        self._done = threading.Event()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device) - self.before
        else:
            self._done.set()
            self._watcher.join()

    def _now(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        import psutil

        return psutil.Process().memory_info().rss

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.bytes = max(self.bytes, self._now() - self.before)


def seconds(work: Callable[[], Any], device: str) -> float:
    """Wall time of a call, its work on the device included."""
    started = time.perf_counter()
    work()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def matrix_rate(dtype: torch.dtype, device: str) -> float:
    """Operations a second of a large square matrix product, the best of several."""
    side = MATRIX_SIDES[torch.device(device).type]
    a, b = (torch.randn(side, side).to(device, dtype) for _ in range(2))
    return 2 * side**3 / min(seconds(lambda: a @ b, device) for _ in range(8))


def count_flops(side: networks.Side, frames: int, size: int, dtype: torch.dtype) -> float:
    """Operations of one step after the clip's own preparation; the side's network is on the meta device."""
    conditions, _, noise = networks.inputs(frames, size, dtype, "meta")
    step = side.step(conditions)
    step(noise, TIMESTEP)  # The tokens of the global frames are made in the first one.
    with FlopCounterMode(display=False) as counter:
        step(noise, TIMESTEP)
    return counter.get_total_flops()


def clips_by_plan(name: str, frames: int) -> int:
    """Clips of a video. The published plan also samples clips in which nothing is unknown."""
    if name == "ours":
        return sum(len(wave) for stage in plan_video(frames) for wave in stage)
    strides = (15, 5, 1) if frames >= THREE_LEVEL_FRAMES else (1,)
    return sum(len(range(0, frames // stride - 1, CLIP_LENGTH - 1)) for stride in strides)


@torch.inference_mode()
def measure(name: str, options: argparse.Namespace) -> tuple[Result, Tensor]:
    """Measure one side, "ours" or "published"; returns also the noise that its step predicts."""
    named = options.reference_dtype if name == "published" else options.dtype
    dtype, widths = getattr(torch, named), networks.WIDTHS[options.network]

    def make(device: str) -> networks.Side:
        if name == "ours":
            return networks.ours(widths, dtype, device)
        return networks.published(options.reference, widths, dtype, device)

    unmade = make("meta")
    flops = count_flops(unmade, options.frames, options.size, dtype)
    branch_flops = {
        branch.name: count_flops(networks.ours(widths, dtype, "meta", scales), options.frames, options.size, dtype)
        for branch, scales in (networks.BRANCH_SCALES.items() if name == "ours" else ())
    }
    side = make(options.device)
    conditions, start, noise = networks.inputs(options.frames, options.size, dtype, options.device)
    step = side.step(conditions)
    rate = matrix_rate(dtype, options.device)
    with PeakMemory(options.device) as memory:
        predicted = step(noise, TIMESTEP)
    times = [seconds(lambda: step(noise, TIMESTEP), options.device) for _ in range(options.repeats)]
    rate = max(rate, matrix_rate(dtype, options.device))
    clip = None
    if options.steps:
        clip = seconds(lambda: sample_pndm(side.step(conditions), start, noise, steps=options.steps), options.device)
    clips = clips_by_plan(name, VIDEO_FRAMES)
    result = Result(
        name=name,
        step_seconds=median(times),
        step_seconds_all=times,
        step_evaluations=side.evaluations,
        step_flops=flops,
        branch_flops=branch_flops,
        peak_bytes=memory.bytes,
        clip_steps=options.steps,
        clip_seconds=clip,
        video_clips=clips,
        video_evaluations=clips * RELEASE_STEPS * side.evaluations,
        video_seconds=clips * RELEASE_STEPS * median(times),
        matrix_rate=rate,
    )
    return result, predicted.float().cpu()


def by_preset(sides: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a video takes of our network with each preset, from what a step and its operations take.

    ``operations_ratio`` is that over what the published code takes for its own clips, None where it was not measured.
    """
    ours, *others = sides
    found = []
    for name, settings in PRESETS.items():
        counts = clip_evaluations(settings)
        per_clip = sum(count * ours["branch_flops"][branch.name] for branch, count in counts.items())
        flops = ours["video_clips"] * per_clip
        published = [side["video_clips"] * RELEASE_STEPS * side["step_flops"] for side in others]
        found.append(
            {
                "name": name,
                "evaluations": ours["video_clips"] * counts.total(),
                "flops": flops,
                "operations_ratio": flops / published[0] if published else None,
                "seconds": flops * ours["step_seconds"] / ours["step_flops"],
            }
        )
    return found


def relative_difference(ours: Tensor, published: Tensor) -> float:
    """Largest difference over largest value."""
    return ((ours - published).abs().max() / published.abs().max()).item()


def machine(device: str) -> dict[str, Any]:
    """What the numbers were taken on."""
    name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else platform.processor()
    return {
        "device": name or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def compare(options: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Measure each side in a process of its own and put the two together."""
    sides, outputs = [], []
    with tempfile.TemporaryDirectory(prefix="m3ddm-bench-") as scratch:
        for name in ("ours", "published") if options.reference else ("ours",):
            print(f"Measuring {name} ...", flush=True)
            target = Path(scratch) / f"{name}.safetensors"
            side = ["--side", name, "--side-output", str(target)]
            subprocess.run([sys.executable, "-m", "benchmarks.speed", *arguments, *side], check=True)
            sides.append(json.loads(target.with_suffix(".json").read_text()))
            outputs.append(load_file(target)["noise"])
    kept = ("size", "frames", "dtype", "reference_dtype", "network", "repeats")
    result = {
        "machine": machine(options.device),
        "options": {name: getattr(options, name) for name in kept},
        "release_steps": RELEASE_STEPS,
        "video_frames": VIDEO_FRAMES,
        "sides": sides,
        "presets": by_preset(sides),
    }
    if len(outputs) == 2:
        result["relative_difference"] = relative_difference(*outputs)
    return result


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the canvas in pixels (default: 256)")
    parser.add_argument("--frames", type=int, default=CLIP_LENGTH, help="frames of a clip (default: 16)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument(
        "--reference-dtype", choices=("float32", "bfloat16", "float16"), help="of the published code (default: --dtype)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--network", choices=tuple(networks.WIDTHS), default="full")
    parser.add_argument("--repeats", type=int, default=3, help="steps timed after the first one (default: 3)")
    parser.add_argument("--steps", type=int, default=2, help="steps of the clip that is timed; 0 for none (default: 2)")
    parser.add_argument("--reference", type=Path, help="a checkout of the published code, measured as well")
    parser.add_argument("--output", type=Path, default=Path("test_output/bench"), help="folder for JSON and PNG")
    parser.add_argument("--side", choices=("ours", "published"), help=argparse.SUPPRESS)
    parser.add_argument("--side-output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.reference_dtype = options.reference_dtype or options.dtype
    counts = options.size, options.frames, options.repeats
    if min(counts) < 1 or options.size % LATENT_SCALE or options.steps < 0:
        parser.error(
            f"got size {options.size}, frames {options.frames}, repeats {options.repeats}, steps {options.steps}; "
            f"expected a size that is a multiple of {LATENT_SCALE}, at least one frame and one repeat, and no negative "
            "steps"
        )
    return options


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    if options.side:
        result, noise = measure(options.side, options)
        options.side_output.with_suffix(".json").write_text(json.dumps(asdict(result)))
        save_file({"noise": noise.contiguous()}, options.side_output)
        return
    result = compare(options, arguments)
    print(report.table(result))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    report.draw(result, options.output / "bench.png")
    print(f"\nwritten: {options.output / 'bench.json'}, {options.output / 'bench.png'}")


if __name__ == "__main__":
    main(sys.argv[1:])
