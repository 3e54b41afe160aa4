"""The parts of a session on a GPU, one after the other, whatever becomes of each; started by ``gpu_session.sh``.

Leaves in its output folder ``summary.json`` and ``summary.md``, the log, the averaged weights of each stage and, in
``results.zip``, figures, curves and samples. Needs the standard library alone: what a part misses is that part's
failure. Ends with 1 where a part failed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARES = {"demo_image": 0.35, "demo_clips_128": 0.35, "demo_clips_256": 0.2, "demo_vae_decoder": 0.1}
"""Of the time that is left to training."""
ALEXNET = "alexnet.safetensors"
"""What of a pack the last stage needs."""
AROUND = 45.0
"""Seconds of a stage's time that unpacking, loading and samples take: 26 to 33 before the first step on an H100."""
LEAST = 3.0
"""Seconds of training below which a stage is not worth its start, but tried all the same."""
GRACE = 60.0
"""Seconds after its time in which a stage may finish; then it is ended."""
LARGEST = 16e6
"""Bytes of a file that can be brought back."""


@dataclass(frozen=True)
class Outcome:
    """What became of a part: exit ``code`` (None: ended for want of time), ``seconds``, the last line that it said."""

    part: str
    code: int | None
    seconds: float
    said: str


def main() -> int:
    """Do all parts; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    device = _device()
    print(f"{options.minutes:g} minutes on {device}", flush=True)
    work, results = options.work / device, options.out / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    outcomes = [
        run("parity", ["gpu_parity", "--device", device, "--output", str(results)], options.out, end),
        run("speed", _speed(device, results), options.out, end),
    ]
    planned = stages(options.pack)
    for number, stage in enumerate(planned):
        seconds = slot(planned[number:], end - time.monotonic())
        minutes = max(LEAST, seconds - AROUND) / 60
        command = ["gpu_stages", stage, "--pack", str(options.pack), "--work", str(work), "--minutes", f"{minutes:.3f}"]
        outcomes.append(run(stage, command, options.out, time.monotonic() + seconds + GRACE))
        problem = export(stage, work / stage, options.out, results)
        outcomes += [Outcome(f"{stage}, export", 1, 0.0, problem)] if problem else []
    pack_results(results, options.out / "results.zip")
    return summarise(outcomes, device, options.out)


def run(part: str, command: list[str], out: Path, end: float) -> Outcome:
    """Run a module of this folder with its arguments, its output here and in the log, until ``end`` at the latest."""
    begun, name = time.monotonic(), out / f".{part}.log"
    print(f"== {part}", flush=True)
    with name.open("w", encoding="utf-8") as log:
        module = [sys.executable, "-m", f"benchmarks.{command[0]}", *command[1:]]
        try:
            code = subprocess.run(
                module, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=max(1.0, end - begun)
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    text = name.read_text(encoding="utf-8", errors="replace")
    name.unlink()
    print(text, flush=True)
    with (out / "session.log").open("a", encoding="utf-8") as log:
        log.write(f"== {part}\n{text}\n")
    lines = [line for line in text.splitlines() if line.strip()]
    return Outcome(part, code, round(time.monotonic() - begun, 1), lines[-1] if lines else "")


def stages(pack: Path) -> list[str]:
    """The stages from the pack's first on, the network's all where there is no pack: they will say what is missing."""
    names = list(SHARES)
    plan = pack / "pack.json"
    first = json.loads(plan.read_text(encoding="utf-8"))["stage"] if plan.is_file() else names[0]
    names = names[names.index(first) :]
    return names if (pack / ALEXNET).is_file() else names[:-1]


def slot(stages: Sequence[str], left: float) -> float:
    """Seconds of the first of some stages out of those that are ``left`` to them all."""
    shares = [SHARES[name] for name in stages]
    return max(0.0, left) * shares[0] / sum(shares)


def export(stage: str, run_folder: Path, out: Path, results: Path) -> str:
    """Take over weights, curves and samples of a stage; returns what is wrong, empty where nothing is."""
    weights = run_folder / ("vae.safetensors" if stage == "demo_vae_decoder" else "m3ddm.safetensors")
    for file in (run_folder / "loss.csv", run_folder / "loss.png", *run_folder.glob("samples/*.webp")):
        if file.is_file():
            shutil.copyfile(file, results / f"{stage}_{file.name}")
    if not weights.is_file():
        return "no weights"
    if weights.stat().st_size > LARGEST:
        return f"weights of {weights.stat().st_size / 1e6:.1f} MB, expected at most {LARGEST / 1e6:g}"
    shutil.copyfile(weights, out / f"{stage}.safetensors")
    return ""


def pack_results(results: Path, target: Path) -> None:
    """Put a folder's files into one archive instead, the largest left out where it would be too large."""
    total = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(results.iterdir(), key=lambda file: file.stat().st_size):
            total += file.stat().st_size
            if total <= LARGEST:
                archive.write(file, file.name)
            else:
                print(f"{file.name} is left out: the archive would be too large", flush=True)
    shutil.rmtree(results)


def summarise(outcomes: list[Outcome], device: str, out: Path) -> int:
    """Write and print the summary; 1 where a part failed."""
    failed = [outcome.part for outcome in outcomes if outcome.code != 0]
    content = {"device": device, "failed": failed, "parts": [asdict(outcome) for outcome in outcomes]}
    (out / "summary.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    words = {0: "done", None: "FAILED, out of time"}
    lines = [f"| part, on {device} | | seconds | last line |", "| --- | --- | --- | --- |"]
    for outcome in outcomes:
        word = words.get(outcome.code, f"FAILED ({outcome.code})")
        lines.append(f"| {outcome.part} | {word} | {outcome.seconds:g} | {outcome.said} |")
    (out / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines), flush=True)
    return int(bool(failed))


def _speed(device: str, results: Path) -> list[str]:
    """The speed benchmark's command: the full network in half precision on a GPU, the small one elsewhere."""
    how = ["--dtype", "float16"] if device == "cuda" else ["--network", "small", "--size", "128"]
    return ["speed", "--device", device, *how, "--output", str(results)]


def _device() -> str:
    """The device, as a process of its own finds it: this one holds no memory of it."""
    code = "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return found.stdout.strip() or "cpu"


if __name__ == "__main__":
    sys.exit(main())
