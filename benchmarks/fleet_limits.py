"""How far a fleet goes: simulated with the service's own schedule, up to 1,000 GPUs and 10,000 videos.

    python -m benchmarks.fleet_limits [--clip SECONDS] [--json FILE] [--png FILE]

``--clip`` and the rest are seconds on one GPU and on the driver. Every video has ``--frames`` frames, as one scene and
as scenes of 60; with one driver, and with one for each 32 GPUs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m3ddm_core.fleet.simulate import Costs, Outcome, simulate

WORKERS = (1, 4, 16, 64, 250, 1000)
VIDEOS = (1, 10, 100, 1000, 10000)
SCENE = 60
GPUS_A_DRIVER = 32
MOST_A_WORKER = 100
"""More videos than this for each worker are not simulated: nothing but work and driver can bound them."""


def cut(frames: int, length: int) -> tuple[int, ...]:
    """Lengths of the scenes of a video, the last one with what is left."""
    whole, rest = divmod(frames, length)
    return (length,) * whole + ((rest,) if rest else ())


def limits(frames: int, costs: Costs, workers: tuple[int, ...], videos: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Simulate every number of videos on every number of workers, as one scene each and cut into short ones, with one
    driver and with several."""
    whole, parts = (frames,), cut(frames, SCENE)
    for several in (False, True):
        for name, scenes in (("one scene", whole), (f"scenes of {SCENE}", parts)):
            for count in videos:
                for number in (number for number in workers if count <= MOST_A_WORKER * number):
                    drivers = -(-number // GPUS_A_DRIVER) if several else 1
                    outcome = simulate([scenes] * count, [1.0] * number, costs, drivers)
                    kind = f"{name}, a driver for {GPUS_A_DRIVER} GPUs" if several else f"{name}, one driver"
                    yield entry(kind, count, number, outcome)


def entry(scenes: str, videos: int, workers: int, outcome: Outcome) -> dict[str, Any]:
    """The figures of a run."""
    return {
        "scenes": scenes,
        "videos": videos,
        "workers": workers,
        "hours": outcome.seconds / 3600,
        "efficiency": outcome.efficiency,
        "bound": outcome.bound,
    }


def table(entries: list[dict[str, Any]]) -> str:
    """A table of efficiencies with what bounds each, in Markdown."""
    workers = sorted({entry["workers"] for entry in entries})
    lines = ["| | " + " | ".join(f"{count:,}" for count in workers) + " |", "| --- |" + " --- |" * len(workers)]
    for scenes, videos in dict.fromkeys((entry["scenes"], entry["videos"]) for entry in entries):
        row = [e for e in entries if (e["scenes"], e["videos"]) == (scenes, videos)]
        cells = {e["workers"]: f"{100 * e['efficiency']:.0f} % {e['bound']}" for e in row}
        lines.append(f"| {videos:,} of {scenes} | " + " | ".join(cells.get(count, "") for count in workers) + " |")
    return "\n".join(lines)


def draw(entries: list[dict[str, Any]], costs: Costs, path: Path) -> None:
    """Draw efficiency over the number of workers, a line for each number of videos and a panel for each kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = list(dict.fromkeys(entry["scenes"] for entry in entries))
    figure, panels = pyplot.subplots(2, -(-len(kinds) // 2), figsize=(10, 7), sharey=True, squeeze=False)
    for panel, kind in zip(panels.flat, kinds, strict=True):
        for videos in dict.fromkeys(entry["videos"] for entry in entries):
            line = [e for e in entries if e["scenes"] == kind and e["videos"] == videos]
            workers, shares = [e["workers"] for e in line], [100 * e["efficiency"] for e in line]
            panel.plot(workers, shares, marker="o", markersize=3, label=f"{videos:,} videos")
        panel.set(xscale="log", xlabel="GPUs", title=kind, ylim=(0, 103))
        panel.grid(alpha=0.3)
        panel.set_ylabel("efficiency, %")
    panels[0][-1].legend(fontsize=8)
    figure.suptitle(
        f"{costs.clip:g} s a clip, {1000 * (costs.read + costs.write):g} ms a frame at the driver", fontsize=10
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="of a video (300)")
    parser.add_argument("--clip", type=float, default=20.0, help="seconds for a clip (20)")
    parser.add_argument("--encode", type=float, default=0.01, help="seconds for a frame through the encoder (.01)")
    parser.add_argument("--decode", type=float, default=0.02, help="seconds for a frame through the decoder (.02)")
    parser.add_argument("--read", type=float, default=0.01, help="seconds of the driver to read a frame (.01)")
    parser.add_argument("--write", type=float, default=0.03, help="seconds of the driver to finish a frame (.03)")
    parser.add_argument("--hand", type=float, default=0.005, help="seconds of the driver for a clip (.005)")
    parser.add_argument("--branches", type=int, default=3, help="evaluations of the network a step (3)")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--videos", type=int, nargs="+", default=VIDEOS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--png", type=Path)
    given = parser.parse_args()
    costs = Costs(given.clip, given.encode, given.decode, given.read, given.hand, given.write, given.branches)
    entries = list(limits(given.frames, costs, tuple(given.workers), tuple(given.videos)))
    print(table(entries))
    if given.json:
        given.json.write_text(json.dumps({"costs": vars(costs), "frames": given.frames, "runs": entries}, indent=1))
    if given.png:
        draw(entries, costs, given.png)


if __name__ == "__main__":
    main()
