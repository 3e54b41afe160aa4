#!/usr/bin/env python3
"""Let better weights become the demonstration's, and refuse those that are not.

    python recipes/promote.py --network runs/demo_128/m3ddm.safetensors --film runs/material/film/big_buck_bunny/bbb.mp4

Candidate and shipped weights outpaint the shots that no training sees, clip by clip, and are measured by `python -m
m3ddm_core evaluate`. A candidate is better where its LPIPS in the filled area is lower and the 95 % interval of the
difference, paired by clip, lies below zero, where its PSNR is not lower by more than 0.3 dB, and where it does not
flicker more than a tenth above the shipped weights (or the truth, where that is more). Ends with 0 where it was copied,
with 1 where it was refused, with 2 where nothing could be measured. Run again with the same --out it goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[1]
NETWORK, VAE = PACK / "models" / "m3ddm_demo.safetensors", PACK / "models" / "m3ddm_demo_vae.safetensors"
LARGEST = {NETWORK: 16e6, VAE: 6e6}
"""Bytes: what the pack carries has to be downloaded by everybody."""

SHIPPED, CANDIDATE = "shipped", "candidate"
PSNR_MAY_FALL = 0.3
"""Decibels. What is sharper and lies elsewhere than the truth has a lower PSNR, and looks better."""
FLICKER_MAY_GROW = 1.1
"""Times the shipped weights', or the truth's, which is 1, where that is more. LPIPS looks at frames one by one: what is
another picture in each of them passes it."""


def main() -> int:
    """Measure, tell, and copy what is better."""
    arguments = _arguments()
    candidates = {NETWORK: arguments.network or NETWORK, VAE: arguments.vae or VAE}
    new = {shipped: given for shipped, given in candidates.items() if given != shipped}
    problem = _problem(new)
    if problem:
        print(problem, file=sys.stderr)
        return 2
    code = subprocess.run(_evaluation(arguments, candidates), cwd=PACK).returncode
    if code:
        print(f"evaluate ended with {code}; nothing was changed", file=sys.stderr)
        return 2
    content = json.loads((arguments.out / "table.json").read_text(encoding="utf-8"))
    verdict = judge(content["clips"])
    print("\n".join(verdict.lines))
    if not verdict.better:
        print("refused: the shipped weights stay")
        return 1
    for shipped, given in new.items():
        if not arguments.dry_run:
            _copy(given, shipped)
        print(f"{'would copy' if arguments.dry_run else 'copied'} {given} to {shipped.relative_to(PACK)}")
    return 0


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate is better, and the figures that say so, a line each."""

    better: bool
    lines: tuple[str, ...]


def judge(clips: list[dict[str, Any]]) -> Verdict:
    """Weigh evaluate's records (``clips`` of its table.json) of both methods against each other.

    Raises ``ValueError`` where they have no clip in common.
    """
    sys.path.insert(0, str(PACK))
    from m3ddm_core.evaluation.summary import mean_interval

    lines, intervals, flicker_grows = [], {}, False
    for metric in ("lpips", "psnr", "sharpness", "flicker"):
        shipped, candidate = (_by_clip(clips, method, metric) for method in (SHIPPED, CANDIDATE))
        both = [clip for clip in candidate if clip in shipped]
        if not both:
            if metric in ("lpips", "psnr"):
                raise ValueError(f"got no clip with the {metric} of both, expected one or more; see evaluate's table")
            continue
        now, then = (sum(values[clip] for clip in both) / len(both) for values in (candidate, shipped))
        interval = intervals[metric] = mean_interval([candidate[clip] - shipped[clip] for clip in both])
        if metric == "flicker":
            flicker_grows = now > FLICKER_MAY_GROW * max(then, 1.0)
        span = "" if interval.low is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
        lines.append(
            f"{metric:10} {then:.3f} shipped, {now:.3f} candidate: {interval.mean:+.3f}{span}, {len(both)} clips"
        )
    high = intervals["lpips"].high
    better = high is not None and high < 0 and intervals["psnr"].mean >= -PSNR_MAY_FALL and not flicker_grows
    return Verdict(better, tuple(lines))


def _by_clip(clips: list[dict[str, Any]], method: str, metric: str) -> dict[str, float]:
    """The mean of a metric in the filled area over each clip's cases."""
    found: dict[str, list[float]] = defaultdict(list)
    for record in clips:
        value = record["values"].get("filled", {}).get(metric)
        if record["method"] == method and value is not None:
            found[record["clip"]].append(value)
    return {clip: sum(values) / len(values) for clip, values in found.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--network", type=Path, help="a candidate for models/m3ddm_demo.safetensors")
    parser.add_argument("--vae", type=Path, help="a candidate for models/m3ddm_demo_vae.safetensors")
    parser.add_argument("--film", type=Path, help="bbb.mp4, as fetch_material.py leaves it")
    parser.add_argument("--clips", default="held-out-film", help="what evaluate takes: a set's name or a folder")
    parser.add_argument("--out", type=Path, default=PACK / "runs" / "promote", help="where evaluate writes")
    parser.add_argument("--size", type=int, default=128, help="side of the frames (128)")
    parser.add_argument(
        "--settings", default="preset=checkpoint", help="of the method m3ddm, for both (what each file advises)"
    )
    parser.add_argument("--lpips-backbone", type=Path, help="AlexNet's weights, where torchvision cannot load them")
    parser.add_argument("--dry-run", action="store_true", help="tell, and copy nothing")
    arguments = parser.parse_args()
    if not (arguments.network or arguments.vae):
        parser.error("got neither --network nor --vae, expected a candidate")
    for name in ("network", "vae", "film", "out", "lpips_backbone"):
        path = getattr(arguments, name)
        # evaluate runs in the pack's folder.
        setattr(arguments, name, path and path.resolve())
    return arguments


def _problem(new: dict[Path, Path]) -> str:
    """What keeps candidates from being shipped whatever they can do; empty where nothing does."""
    for shipped, given in new.items():
        if not given.is_file():
            return f"{given}: got no file, expected weights"
        if given.stat().st_size > LARGEST[shipped]:
            size = given.stat().st_size / 1e6
            return f"{given}: got {size:.1f} MB, expected at most {LARGEST[shipped] / 1e6:g}; export it in fp16"
    return ""


def _evaluation(arguments: argparse.Namespace, candidates: dict[Path, Path]) -> list[str]:
    """The command that measures both."""
    pairs = {SHIPPED: (NETWORK, VAE), CANDIDATE: (candidates[NETWORK], candidates[VAE])}
    command = [sys.executable, "-m", "m3ddm_core", "evaluate", arguments.clips, str(arguments.out), "--no-grids"]
    command += ["--size", str(arguments.size)]
    for name, (network, vae) in pairs.items():
        settings = f",{arguments.settings}" if arguments.settings else ""
        command += ["--method", f"m3ddm:name={name},checkpoint={network},vae={vae}{settings}"]
    command += ["--film", str(arguments.film)] if arguments.film else []
    command += ["--lpips-backbone", str(arguments.lpips_backbone)] if arguments.lpips_backbone else []
    return command


def _copy(source: Path, target: Path) -> None:
    """Put a file in the place of another, whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    os.replace(partial, target)


if __name__ == "__main__":
    sys.exit(main())
