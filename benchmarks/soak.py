"""Many prompts in one ComfyUI server: whether memory, handles, threads and files stay level, with a plot.

    PYTHON -m benchmarks.soak --runs 200

PYTHON has torch, PyAV, matplotlib and psutil in it. Each prompt is a shipped workflow with settings drawn at random,
over a small clip, with a small network of seeded weights; every third is cancelled after a random number of the
server's messages. After each, the server gives free memory back, and its process is looked at. The journal is on, and
small, so that it is pruned.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.material import write_clip, write_network
from benchmarks.random_prompts import random_prompt
from devtools import host as hosts
from devtools.client import Client, Interrupted, Progress, PromptError
from devtools.server import Server

TELLER = Path(__file__).with_name("soak_teller.py")
JOURNAL_GIGABYTES = 0.002
MOST_MESSAGES = 40
CLIPS = {"short.mp4": 20, "long.mp4": 52}
"""Frames: from 50 on there are three levels."""
SHOWN = {
    "memory_bytes": "memory, MB",
    "tensor_bytes": "tensors, MB",
    "handles": "handles",
    "threads": "threads",
    "files_bytes": "temp files, MB",
}


def look_at(process: Any, base: Path) -> dict[str, int]:
    """What a server holds: resident memory, open handles, threads, and files that are no results."""
    journal = _sizes(base / "user" / "__m3ddm")
    temporary = _sizes(base / "temp") + [path.stat().st_size for path in (base / "output").glob(".*")]
    return {
        "memory_bytes": process.memory_info().rss,
        "handles": process.num_fds() if hasattr(process, "num_fds") else process.num_handles(),
        "threads": process.num_threads(),
        "files": len(temporary),
        "files_bytes": sum(temporary),
        "journal_bytes": sum(journal),
    }


def _sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


def cancelling(client: Client, after: int | None) -> Callable[[Progress], None]:
    """Make what presses the stop button once so many messages have come; never if ``after`` is None."""
    heard = 0

    def hear(progress: Progress) -> None:
        nonlocal heard
        heard += 1
        if heard == after:
            client.interrupt()

    return hear


def soak(runs: int, seed: int, minutes: float) -> dict[str, Any]:
    """Queue prompts one after another, no more once so many minutes are over, and look at the server after each."""
    import psutil

    os.environ["M3DDM_JOURNAL"] = str(JOURNAL_GIGABYTES)
    draw, samples = random.Random(seed), []
    with tempfile.TemporaryDirectory(prefix="m3ddm-soak-") as name:
        network = Path(name) / "network.safetensors"
        write_network(network)
        clips = [Path(name) / clip for clip in CLIPS]
        for clip in clips:
            write_clip(clip, CLIPS[clip.name])
        base = Path(name) / "comfyui"
        models = {"diffusion_models": [network]}
        (base / "custom_nodes" / TELLER.stem).mkdir(parents=True)
        shutil.copyfile(TELLER, base / "custom_nodes" / TELLER.stem / "__init__.py")
        nodes = ("--whitelist-custom-nodes", hosts.PACK_NAME, TELLER.stem)
        files = {"models": models, "inputs": clips}
        with Server(hosts.find(), base=base, arguments=nodes, start_timeout=1800, **files) as server:
            process, info = psutil.Process(server.pid), server.client.object_info()
            begun = time.monotonic()
            while len(samples) < runs and time.monotonic() - begun < 60 * minutes:
                prompt = random_prompt(draw, info, list(CLIPS), network.name)
                after = draw.randint(1, MOST_MESSAGES) if draw.random() < 1 / 3 else None
                outcome = _outcome(server.client, prompt, after)
                for made in (base / "output").glob("*.mp4"):
                    made.unlink()
                samples.append({"second": round(time.monotonic() - begun, 1), "outcome": outcome})
                samples[-1] |= server.client.get("/m3ddm_soak/held") | look_at(process, base)
                print(f"{len(samples):3d}: {json.dumps(samples[-1])}", flush=True)
            tracebacks = server.log.read_text(encoding="utf-8", errors="replace").count("Traceback")
    return {"outcomes": Counter(sample["outcome"] for sample in samples), "tracebacks": tracebacks, "samples": samples}


def _outcome(client: Client, prompt: dict[str, Any], after: int | None) -> str:
    """Run a prompt; "finished", "cancelled", or what its error says."""
    try:
        client.run(prompt, cancelling(client, after), timeout=1800)
    except Interrupted:
        return "cancelled"
    except PromptError as error:
        return str(error)
    return "finished"


def levels(samples: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The medians of the second and of the last quarter: what the first runs take for good is in both."""
    quarter = len(samples) // 4
    spans = {"second": samples[quarter : 2 * quarter], "last": samples[-quarter:]}
    kept = [name for name in samples[0] if name not in ("second", "outcome")]
    return {
        name: {span: statistics.median(sample[name] for sample in part) for span, part in spans.items()}
        for name in kept
    }


def plot(samples: list[dict[str, Any]], path: Path) -> None:
    """Draw what is shown over the runs; cancelled ones are marked."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(SHOWN), figsize=(9, 8), dpi=120, sharex=True)
    cancelled = [number for number, sample in enumerate(samples, 1) if sample["outcome"] == "cancelled"]
    for axis, (name, title) in zip(axes, SHOWN.items(), strict=True):
        scale = 1e6 if name.endswith("bytes") else 1
        axis.plot(range(1, len(samples) + 1), [sample[name] / scale for sample in samples], color="#0f766e")
        axis.set(ylabel=title, ylim=(0, None))
        for number in cancelled:
            axis.axvline(number, color="#a1a1aa", alpha=0.35, linewidth=0.8)
    axes[0].set_title(f"{len(samples)} prompts in one server, {len(cancelled)} of them cancelled (grey)")
    axes[-1].set(xlabel="prompt", xlim=(1, len(samples)))
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no more is queued")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for soak.json and soak.png")
    options = parser.parse_args()
    result = soak(options.runs, options.seed, options.minutes)
    plot(result["samples"], options.out / "soak.png")
    shown = {"levels": levels(result["samples"]), **{name: result[name] for name in ("outcomes", "tracebacks")}}
    (options.out / "soak.json").write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
