"""A video of many scenes: its board, all of it, and one scene made again, from file to file.

    PYTHON -m benchmarks.scene_redo

PYTHON has torch, PyAV and diffusers in it. The video lasts three minutes and has twenty scenes of one length; it is
small, so that the command line makes it in some minutes, with the tests' small network, one step a clip, and the
demonstration's autoencoder. A line of JSON tells of each run: its seconds, how often the source was decoded from its
beginning, how many frames were encoded to latents and decoded from them, and the calls of the network; where a scene is
made again, also which scenes have another packet than before. It ends with an error where that is not the one scene
alone, or where more than one scene's work was done.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.material import write_network

VAE_FILE = Path(__file__).resolve().parents[1] / "models" / "m3ddm_demo_vae.safetensors"
RATE = 24
SIZE = (64, 48)
CHANGES = {"seed": 11}, {"seed": 11, "offset": [0, 0]}
"""What is decided for the scene that is made again, run by run."""
WORK = ("encoded", "network", "decoded")

Packets = list[tuple[int | None, int | None, bytes]]


def measure(scenes: int, length: int, seen: str, tell: Callable[[dict[str, Any]], None]) -> None:
    """Run the board, the whole video and each change of a scene in the middle, and ``tell`` of each.

    Raises RuntimeError where a change did more than that scene's work, or altered another scene.
    """
    from m3ddm_core.video.formats import Encoding
    from m3ddm_core.video.writer import write_video
    from tests.helpers.many_scenes import many_scenes

    chosen = scenes // 2
    with tempfile.TemporaryDirectory(prefix="m3ddm-scenes-") as name:
        folder = Path(name)
        source, target, board, network = (
            folder / each for each in ("in.mkv", "out.mp4", "board.json", "net.safetensors")
        )
        drawn = many_scenes(scenes, length, SIZE, RATE)
        write_video(source, drawn.frames(), drawn.info, encoding=Encoding("ffv1"))
        write_network(network)
        found = _timed(["scenes", str(source), "--board", str(board)])
        decided = json.loads(board.read_text(encoding="utf-8"))
        tell({"run": "board", "frames": scenes * length, "scenes": len(decided["scenes"]), **found})

        command = ["outpaint", str(source), str(target), "--checkpoint", str(network), "--vae", str(VAE_FILE)]
        command += ["--ratio", "16:9", "--canvas-size", "32", "--steps", "1", "--seen", seen, "--device", "cpu"]
        command += ["--context-scale", "1", "--global-scale", "1", "--board", str(board), "--overwrite"]
        whole = _timed(command)
        before = _packets(target)
        tell({"run": "whole", **whole})
        for change in CHANGES:
            decided["scenes"][chosen] = {"first": chosen * length, **change}
            board.write_text(json.dumps(decided), encoding="utf-8")
            again, after = _timed(command), _packets(target)
            changed = changed_scenes(before, after, length)
            tell({"run": "again", "change": change, **again, "scenes_with_another_packet": changed})
            if changed != [chosen] or any(scenes * again[kind] > whole[kind] for kind in WORK):
                raise RuntimeError(f"got scenes {changed} changed, expected {[chosen]} and a {scenes}th of the work")
            before = after


def changed_scenes(before: Packets, after: Packets, length: int) -> list[int]:
    """The numbers of the scenes, each of so many packets, of which any byte or time differs."""
    most = max(len(before), len(after))
    return [
        number
        for number, first in enumerate(range(0, most, length))
        if before[first : first + length] != after[first : first + length]
    ]


def _packets(path: Path) -> Packets:
    import av

    with av.open(str(path)) as container:
        given = container.demux(container.streams.video[0])
        return [(packet.pts, packet.dts, bytes(packet)) for packet in given if packet.size]


def _timed(command: list[str]) -> dict[str, Any]:
    """Run the command line, and tell what that took. Raises RuntimeError where it fails."""
    from m3ddm_core.__main__ import main as run

    with _counted() as done, redirect_stdout(sys.stderr):
        begun, cpu = time.monotonic(), time.process_time()
        if run(command):
            raise RuntimeError("the command failed; its error is above")
        seconds = {"seconds": round(time.monotonic() - begun, 1), "processor": round(time.process_time() - cpu, 1)}
    return seconds | {kind: done[kind] for kind in ("passes", *WORK)}


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count, of what runs meanwhile, the passes over a file, the frames of the VAE and the calls of the network."""
    from m3ddm_core.unet import M3DDMUNet
    from m3ddm_core.vae import VAE
    from m3ddm_core.video import file

    done: Counter[str] = Counter()

    def counting(kind: str, through: Callable[..., Any], count: Callable[..., int]) -> Callable[..., Any]:
        def counted(*given: Any, **options: Any) -> Any:
            done[kind] += count(*given)
            return through(*given, **options)

        return counted

    with ExitStack() as patched:
        for owner, name, kind, count in (
            (file, "decodable", "passes", lambda *given: 1),
            (VAE, "encode", "encoded", lambda self, frames, *more: len(frames)),
            (VAE, "decode", "decoded", lambda self, latents, *more: len(latents)),
            (M3DDMUNet, "forward", "network", lambda *given: 1),
        ):
            patched.enter_context(patch.object(owner, name, counting(kind, getattr(owner, name), count)))
        yield done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=180, help="of all scenes together")
    parser.add_argument(
        "--seen", default="off", help="as in outpaint (off: looking around would take most of the time)"
    )
    options = parser.parse_args()
    length = options.seconds * RATE // options.scenes
    measure(options.scenes, length, options.seen, lambda found: print(json.dumps(found), flush=True))


if __name__ == "__main__":
    main()
