"""What the pack adds to ComfyUI's start: ``python -m benchmarks.import_time``, with ComfyUI's own Python.

Each sample is a process of its own, in which ComfyUI has been imported before, and finds what an earlier one has
compiled, as at every start but the first. The seconds are the processor's, which other work on the machine changes
less than those of the clock; the least of all samples is what it takes.

With every some thousand new objects Python's collector goes through all that ComfyUI has made so far, half a million of
them. That is in the first figure, and not in the second, which is the pack's own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

from devtools import host as hosts
from devtools.host import PACK, clean_environment

MOST = 0.1
"""Seconds that it may take."""
SAMPLE = """
import asyncio, gc, json, sys, time
sys.path[:] = [{host!r}] + [entry for entry in sys.path if entry]
import comfy.cli_args
comfy.cli_args.args.cpu = True
import nodes
import comfy_config.config_parser  # the first pack with a pyproject.toml loads it, and pydantic, for all
if {alone!r}:
    gc.collect()
    gc.freeze()
before = set(sys.modules)
clock, processor = time.perf_counter(), time.process_time()
assert asyncio.run(nodes.load_custom_node({pack!r}))
print(json.dumps([time.process_time() - processor, time.perf_counter() - clock, len(set(sys.modules) - before)]))
"""


def sample(host: hosts.Host, *, alone: bool) -> tuple[float, float, int]:
    """Seconds of the processor, seconds of the clock, and how many modules were not there before.

    ``alone``: what ComfyUI has made is kept from the collector.
    """
    script = SAMPLE.format(host=str(host.path), pack=str(PACK), alone=alone)
    environment = {**clean_environment(), "PYTHONDONTWRITEBYTECODE": ""}
    command = [str(host.python), "-c", script]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """1 where it takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=5, help="processes to start (5)")
    host = hosts.find(hosts.TEST_MODULES, install=False)
    wanted = parser.parse_args().samples
    sample(host, alone=True)
    for alone, title in ((False, "with the collector's rounds"), (True, "the pack's own")):
        processor, clock, modules = min(sample(host, alone=alone) for _ in range(wanted))
        print(f"{title}: {processor:.3f} s of the processor, {clock:.3f} s by the clock, {modules} modules")
    return int(processor > MOST)


if __name__ == "__main__":
    sys.exit(main())
