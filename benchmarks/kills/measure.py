"""Kill a way to make a video at random moments, let it go on, and count."""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .way import Way


@dataclass(frozen=True)
class Kill:
    """One kill and the run after it: how far the first had come, and what both took beside one whole run.

    ``again``: clips that were begun twice; ``lost``: seconds of the processor; ``left``: what lies beside the video.
    """

    moment: float
    begun: int
    again: int
    lost: float
    equal: bool
    left: list[str]


def measure(way: Way, kills: int, seed: int, minutes: float = math.inf) -> dict:
    """Kill and go on, ``kills`` times, but no more once so many minutes are over.

    Raises RuntimeError where a half-made file stands under the final name.
    """
    begun = time.monotonic()
    whole = way.run()
    (made,) = videos(way.out)
    content = made.read_bytes()
    clear(way)
    spent = f"{whole.seconds:.1f} s ({whole.cpu:.1f} s computing)"
    print(f"undisturbed: {spent}, {whole.begun} clips, {len(content):,} bytes", flush=True)

    draw, found = random.Random(seed), []
    while len(found) < kills and time.monotonic() - begun < 60 * minutes:
        moment = draw.uniform(0, whole.cpu)
        first = way.run(lambda cpu, moment=moment: cpu >= moment)
        if not first.killed:  # It was quicker than the undisturbed one.
            clear(way)
            continue
        if any(video.read_bytes() != content for video in videos(way.out)):
            raise RuntimeError(f"a file that is not whole stands under its name after a kill at {moment:.2f} s")
        for video in videos(way.out):
            video.unlink()
        second = way.run()
        kill = Kill(
            moment,
            first.begun,
            first.begun + second.begun - whole.begun,
            first.cpu + second.cpu - whole.cpu,
            [video.read_bytes() for video in videos(way.out)] == [content],
            sorted(path.name for path in way.out.iterdir() if path not in videos(way.out)),
        )
        clear(way)
        found.append(kill)
        print(f"{len(found):3d}: {json.dumps(asdict(kill))}", flush=True)
    return {"undisturbed": asdict(whole), "kills": [asdict(kill) for kill in found]}


def videos(folder: Path) -> list[Path]:
    """What stands under a name that a finished video may have."""
    return sorted(path for path in folder.glob("*.mp4") if not path.name.startswith("."))


def clear(way: Way) -> None:
    """Leave nothing of a run to the next."""
    for video in videos(way.out):
        video.unlink()
    way.forget()


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
        f"undisturbed; a start takes another {whole['start']:.1f}"
    )
