"""What SIGKILL at a random moment costs a run of the command line: clips done again, time lost, and what comes out.

    PYTHON -m benchmarks.kills --kills 20

PYTHON has torch, PyAV, diffusers and psutil in it. A moving clip is outpainted by `python -m m3ddm_core outpaint`, with
a small network of seeded weights and the demonstration's autoencoder: once undisturbed, and then again and again,
killed at a moment drawn evenly from the time that it computes, and started once more. Every run is a fork of this
process, which has imported everything and computed nothing, so that a start takes no time; what it takes else is told.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VAE = ROOT / "models" / "m3ddm_demo_vae.safetensors"
SIDE = 32
"""Of the square source, and the longest side of its canvas."""


@dataclass(frozen=True)
class Run:
    """One process: how long it lived, what of that it computed, how many clips it began, and whether it was killed.

    Seconds of the processor, ``cpu``, do not depend on what else a machine does.
    """

    seconds: float
    cpu: float
    begun: int
    killed: bool


@dataclass(frozen=True)
class Kill:
    """One kill and the run after it: how far the first had come, and what both took beside one whole run.

    ``again``: clips that were begun twice; ``lost``: seconds of the processor.
    """

    moment: float
    begun: int
    again: int
    lost: float
    equal: bool
    left: list[str]


def write_clip(path: Path, frames: int) -> None:
    """Smooth noise that moves a pixel a frame, with a tone."""
    import torch

    from m3ddm_core.video.source import TensorSource
    from m3ddm_core.video.writer import write_video

    noise = torch.rand(1, 3, 8, (SIDE + frames) // 8, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(noise, (SIDE, SIDE + frames), mode="bilinear")[0]
    pictures = torch.stack([wide[:, :, number : number + SIDE] for number in range(frames)]).movedim(1, -1)
    tone = torch.sin(torch.arange(frames * 320) / 3)[None] / 2
    source = TensorSource(pictures, Fraction(25), tone, 8000)
    write_video(path, source.frames(), source.info, source.sound)


def write_network(path: Path) -> None:
    """The small network of the tests, with their seeded weights."""
    import torch

    from m3ddm_core.checkpoint import expected_shapes, save_checkpoint
    from tests.helpers.checkpoint_files import TINY, load_seeded_weights

    arrays = load_seeded_weights().seeded_state_dict(expected_shapes(TINY))
    save_checkpoint(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, TINY)


def in_fork(work: Callable[[], None]) -> None:
    """Do some work in a process of its own. Raises RuntimeError where it fails."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the material could not be made; its own error stands above")


def outpaint(command: list[str], telling: int) -> int:
    """Run the command line; each clip that is begun is told of in a byte."""
    import torch

    from m3ddm_core import __main__, pipeline

    torch.set_num_threads(1)
    made = pipeline.guided_sampler

    def guided_sampler(*arguments):
        sample = made(*arguments)

        def told(conditions, start, noise, callback):
            os.write(telling, b"b" * len(start))
            return sample(conditions, start, noise, callback)

        return told

    pipeline.guided_sampler = guided_sampler
    return __main__.main(command)


def run(command: list[str], kill_after: float | None, log: Path) -> Run:
    """Run the command in a fork, and kill it when it has computed for so many seconds, if it still runs."""
    import psutil

    reading, writing = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os._exit(outpaint(command, writing))
    os.close(writing)
    if kill_after is not None:
        process = psutil.Process(child)
        while process.status() != psutil.STATUS_ZOMBIE and sum(process.cpu_times()[:2]) < kill_after:
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
    clips = 0
    while some := os.read(reading, 4096):
        clips += len(some)
    os.close(reading)
    _, status, used = os.wait4(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"the command failed:\n{log.read_text()[-2000:]}")
    return Run(time.monotonic() - begun, used.ru_utime + used.ru_stime, clips, os.WIFSIGNALED(status))


def measure(frames: int, steps: int, kills: int, seed: int, folder: Path) -> dict:
    """Kill and go on, ``kills`` times. Raises RuntimeError where a half-made file stands under the final name."""
    source, network, log = folder / "in.mp4", folder / "network.safetensors", folder / "log.txt"
    for path, work in ((source, lambda: write_clip(source, frames)), (network, lambda: write_network(network))):
        in_fork(work)
        print(f"{path.name}: {path.stat().st_size:,} bytes", flush=True)
    out = folder / "out"
    out.mkdir()
    target = out / "out.mp4"
    command = ["outpaint", str(source), str(target), "--checkpoint", str(network), "--vae", str(VAE), "--ratio", "16:9"]
    command += ["--canvas-size", str(SIDE), "--steps", str(steps), "--device", "cpu"]
    # Unguided, for one evaluation a step: what a clip takes is not what is measured.
    command += ["--context-scale", "1", "--global-scale", "1"]
    whole = run(command, None, log)
    content = target.read_bytes()
    target.unlink()
    spent = f"{whole.seconds:.1f} s ({whole.cpu:.1f} s computing)"
    print(f"undisturbed: {spent}, {whole.begun} clips, {len(content):,} bytes", flush=True)

    draw, found = random.Random(seed), []
    while len(found) < kills:
        moment = draw.uniform(0, whole.cpu)
        first = run(command, moment, log)
        if not first.killed:  # It was quicker than the undisturbed one.
            target.unlink()
            continue
        if target.exists() and target.read_bytes() != content:
            raise RuntimeError(f"a file that is not whole stands under its name after a kill at {moment:.2f} s")
        target.unlink(missing_ok=True)
        second = run(command, None, log)
        kill = Kill(
            moment,
            first.begun,
            first.begun + second.begun - whole.begun,
            first.cpu + second.cpu - whole.cpu,
            target.read_bytes() == content,
            sorted(path.name for path in out.iterdir() if path != target),
        )
        target.unlink()
        found.append(kill)
        print(f"{len(found):3d}: {json.dumps(asdict(kill))}", flush=True)
    return {"undisturbed": asdict(whole), "kills": [asdict(kill) for kill in found]}


def summary(result: dict) -> str:
    """The figures in words."""
    kills, whole = result["kills"], result["undisturbed"]
    lost = sorted(kill["lost"] for kill in kills)
    again = [kill["again"] for kill in kills]
    equal = sum(kill["equal"] for kill in kills)
    clean = sum(not kill["left"] for kill in kills)
    middle, most = lost[len(lost) // 2], lost[-1]
    return (
        f"{len(kills)} kills: {equal} files equal byte by byte, nothing left beside {clean} of them; "
        f"{sum(again)} clips of the {whole['begun']} of a run done again, at most {max(again)} a kill; lost, in "
        f"seconds of one processor, {middle:.1f} in the middle and {most:.1f} at most, of {whole['cpu']:.1f} "
        f"undisturbed; a start of Python takes another {result['start']:.1f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--steps", type=int, default=1, help="of each clip")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    arguments = parser.parse_args()
    if not hasattr(os, "fork"):
        sys.exit("benchmarks.kills: got a system without fork, expected Linux or macOS")

    import av  # noqa: F401
    from diffusers import AutoencoderTiny  # noqa: F401

    import m3ddm_core.pipeline  # noqa: F401

    start = time.process_time()
    with tempfile.TemporaryDirectory(prefix="m3ddm-kills-") as folder:
        result = measure(arguments.frames, arguments.steps, arguments.kills, arguments.seed, Path(folder))
    result["start"] = start
    print(summary(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
    return 0 if all(kill["equal"] and not kill["left"] and kill["again"] <= 1 for kill in result["kills"]) else 1


if __name__ == "__main__":
    sys.exit(main())
