"""What the journal costs: hashing a network's file once, and each clip's keys and writing.

    PYTHON -m benchmarks.journal_cost --gigabytes 2.6

PYTHON has torch in it. The file is made of random bytes beside the journal (in a temporary folder, or in ``--folder``)
and read once before it is hashed, as a network that was just loaded is. A clip is one of the published size: 16 frames
on a canvas of 256x256.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from m3ddm_core.journal.clips import ClipJournal
from m3ddm_core.journal.store import Journal
from m3ddm_core.journal.weights import WeightsFile
from m3ddm_core.sampling.clip import ClipConditions

PIECE = 1 << 24
SIDE = 32
"""Of latents of 256 pixels."""


def hashing(folder: Path, gigabytes: float) -> dict[str, float]:
    """Seconds on the clock, and of all processors, to hash a file; and gigabytes a second of one."""
    path, piece = folder / "weights.bin", os.urandom(PIECE)
    with path.open("wb") as file:
        for _ in range(round(gigabytes * 1e9 / PIECE)):
            file.write(piece)
    with path.open("rb", buffering=0) as file:
        while file.read(PIECE):
            pass
    size = path.stat().st_size / 1e9
    clock, cpu = timed(lambda: WeightsFile.at(path).digest())
    path.unlink()
    return {"gigabytes": size, "seconds": clock, "processor_seconds": cpu, "gigabytes_a_processor_second": size / cpu}


def a_clip(folder: Path, clips: int) -> dict[str, float]:
    """Medians of what a clip costs: its key, putting it, and taking it."""
    journal, times = ClipJournal(Journal(folder / "journal"), "recipe"), []
    for _ in range(clips):
        state = torch.randn(1, 5, 16, SIDE, SIDE), torch.randn(1, 5, 16, SIDE, SIDE), torch.randn(16, 4, SIDE, SIDE)
        conditions, clip = ClipConditions(*state, fps=25), torch.randn(1, 4, 16, SIDE, SIDE)
        begun, cpu = time.perf_counter(), time.process_time()
        keys = journal.keys(conditions, clip, clip)
        made = time.perf_counter()
        journal.put(keys, clip)
        put = time.perf_counter()
        spent = time.process_time() - cpu
        journal.take(keys)
        times.append((made - begun, put - made, spent, time.perf_counter() - put))
    names = ("key", "put", "key_and_put_processor", "take")
    return {name: statistics.median(column) for name, column in zip(names, zip(*times, strict=True), strict=True)}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of this process's processor time."""
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.6, help="of weights: 1.3 billion values of two bytes")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="m3ddm-journal-", dir=options.folder) as name:
        folder = Path(name)
        found = {"hashing": hashing(folder, options.gigabytes), "seconds_a_clip": a_clip(folder, options.clips)}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
