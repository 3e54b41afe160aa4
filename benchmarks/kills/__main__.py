"""What SIGKILL at a random moment costs a run: clips done again, time lost, and what comes out.

    PYTHON -m benchmarks.kills command --kills 20
    PYTHON -m benchmarks.kills comfyui --kills 20

PYTHON has torch, PyAV, diffusers and psutil in it. A moving clip is outpainted with a small network of seeded weights
and the demonstration's autoencoder: once undisturbed, and then again and again, killed at a moment drawn evenly from
the time that it computes, and started once more. ``command`` runs `python -m m3ddm_core outpaint` in forks of this
process, so that a start takes no time; ``comfyui`` queues M3DDM Outpaint Video and Save Video in a real server, kills
that, and queues them in a new one. What a start takes is told beside.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks.material import write_clip, write_network

from .comfyui import ComfyUI
from .command_line import CommandLine
from .measure import measure, summary

WAYS = {"command": CommandLine, "comfyui": ComfyUI}


def in_fork(work: Callable[[], None]) -> None:
    """Do some work in a process of its own. Raises RuntimeError where it fails."""
    child = os.fork()
    if child == 0:
        # Nothing of this process is the child's: it ends here, whatever happens.
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the material could not be made; its own error stands above")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--steps", type=int, default=1, help="of each clip")
    parser.add_argument("--seen", default="both", help="as of `outpaint` (both); off leaves sampling more of the time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no other kill is begun")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    arguments = parser.parse_args()
    if not hasattr(os, "fork"):
        sys.exit("benchmarks.kills: got a system without fork, expected Linux or macOS")
    with tempfile.TemporaryDirectory(prefix="m3ddm-kills-") as name:
        folder = Path(name)
        source, network = folder / "in.mp4", folder / "network.safetensors"
        in_fork(lambda: write_clip(source, arguments.frames))
        in_fork(lambda: write_network(network))
        way = WAYS[arguments.way](folder, source, network, arguments.steps, arguments.seen)
        result = measure(way, arguments.kills, arguments.seed, arguments.minutes)
    print(summary(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
    return 0 if all(kill["equal"] and not kill["left"] and kill["again"] <= 1 for kill in result["kills"]) else 1


if __name__ == "__main__":
    sys.exit(main())
