"""``python -m m3ddm_core outpaint``: what may be asked for, and whether of one video or of many."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from ..video.fields import FIELDS
from ..video.formats import BIT_DEPTHS, FORMATS
from .jobs import is_many
from .lines import running_line
from .settings import SAMPLING, read_bit_rate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments. Needs the standard library alone."""
    parser.add_argument("source", metavar="IN", help="the video; or a folder, a list or a table of videos")
    parser.add_argument("target", metavar="OUT", help="the file to write (.mp4; see --format); or a folder for many")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="of many videos: leave alone what an earlier run has finished with the same settings",
    )
    parser.add_argument("--checkpoint", required=True, help="the network: any file or folder that `convert` reads")
    parser.add_argument("--vae", required=True, help="a Stable Diffusion 1.x VAE, or a tiny one in TAESD's format")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--first-frames", type=int, default=0, help="use only so many frames, for a trial (0: all)")
    parser.add_argument("--source-mask", metavar="FILE", help="picture or video, white where the source is replaced")

    frame = parser.add_argument_group("the frame")
    shape = frame.add_mutually_exclusive_group(required=True)
    shape.add_argument("--ratio", help="width to height: 16:9, 9:16, 2.39:1")
    shape.add_argument(
        "--pixels", type=int, nargs=4, metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"), help="pixels to add on each side"
    )
    frame.add_argument("--anchor", default="center", help='where the source lies: center, left, "top left" (center)')
    frame.add_argument(
        "--offset", type=int, nargs=2, metavar=("X", "Y"), help="instead of the anchor: its top-left corner"
    )
    frame.add_argument(
        "--canvas-size",
        type=int,
        default=0,
        help="longest side of the canvas in pixels (0: what the checkpoint names, else 256)",
    )
    frame.add_argument("--canvas-shape", choices=("square", "target"), default="square", help="(square)")
    frame.add_argument(
        "--fill", choices=("smooth", "telea"), default="smooth", help="what sampling starts from (smooth)"
    )
    frame.add_argument("--size-multiple", type=int, default=2, help="width and height become multiples of this (2)")
    frame.add_argument(
        "--size",
        default="automatic",
        help="how large the result is: pixels of its short side such as 1080, height:720, longest:1920, 2.1MP, source "
        "(nothing is scaled), or automatic, the source's short side, at most 1080 (automatic)",
    )

    sampling = parser.add_argument_group("sampling")
    sampling.add_argument(
        "--preset",
        default="checkpoint",
        help="checkpoint, reference, balanced, fast; settings given beside it take precedence (checkpoint: what the "
        "network's file recommends; the published weights recommend nothing and get reference)",
    )
    sampling.add_argument("--seed", type=int, default=0)
    for name, kind in SAMPLING.items():
        sampling.add_argument(f"--{name.replace('_', '-')}", type=kind, default=argparse.SUPPRESS)
    sampling.add_argument(
        "--second-pass", type=int, default=0, help="longest side of a second, larger canvas (0: none)"
    )
    sampling.add_argument("--second-denoise", type=float, default=0.4, help="how much it paints anew (0.4)")
    sampling.add_argument(
        "--seen",
        choices=("off", "start", "layer", "both", "known"),
        default="both",
        help="use what other frames have filmed of the border: sampling starts from it, it is laid over the result, or "
        "both; known: both, and what is wholly seen is known to the network, which the published one was not trained "
        "for (both)",
    )
    sampling.add_argument("--no-scene-cuts", action="store_true", help="treat the video as one scene")
    sampling.add_argument(
        "--cut-threshold", type=float, default=0.25, help="how much frames must differ at a cut (0.25)"
    )

    sampling.add_argument(
        "--board",
        metavar="FILE",
        help="of one video: what is decided for single scenes, as JSON that `scenes` lists; finished clips are then "
        "kept, and the next run makes anew only what has changed",
    )

    meeting = parser.add_argument_group("where the border meets the source")
    meeting.add_argument("--feather", type=int, default=8, help="width of the soft edge in pixels (8)")
    meeting.add_argument("--colour-match", choices=("none", "linear", "steady"), default="steady", help="(steady)")
    meeting.add_argument("--resampling", default="lanczos", help="(lanczos)")
    meeting.add_argument("--blend", choices=("feather", "gradient"), default="gradient", help="(gradient)")

    _add_source(parser.add_argument_group("the source"))
    _add_file(parser.add_argument_group("the file"))

    machine = parser.add_argument_group("the machine")
    machine.add_argument("--device", help="cpu, cuda, mps (default: cuda where there is one)")
    machine.add_argument("--dtype", choices=("fp32", "fp16", "bf16"), default="fp32", help="of the network (fp32)")
    machine.add_argument(
        "--no-journal",
        action="store_true",
        help="keep nothing that is finished. Without this clips and scenes lie in the folder .OUT.mp4.journal until "
        "OUT.mp4 is whole, and the same command goes on where it was killed; with --board they stay",
    )
    fleet = parser.add_argument_group("many machines")
    fleet.add_argument(
        "--ray",
        metavar="WHERE",
        help="sample on the workers of a Ray: local starts one on this machine, auto takes the one that runs here, "
        "HOST:PORT that one",
    )
    fleet.add_argument("--ray-workers", type=int, default=0, help="how many (0: as many as there is room for)")
    fleet.add_argument("--ray-gpus", type=float, default=1.0, help="the share of a GPU that a worker takes (1)")
    fleet.add_argument("--ray-threads", type=int, default=1, help="threads of a worker on a CPU (1)")


def _add_source(group: argparse._ArgumentGroup) -> None:
    crop = group.add_mutually_exclusive_group()
    crop.add_argument(
        "--crop", type=int, nargs=4, metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"), help="pixels to take off it first"
    )
    crop.add_argument("--crop-bars", action="store_true", help="take off the black bars that are found around it")
    group.add_argument(
        "--deinterlace",
        choices=FIELDS,
        default="auto",
        help="frames that say they are interlaced (auto), none (off), or all, the top or the bottom field being first "
        "(auto)",
    )


def _add_file(group: argparse._ArgumentGroup) -> None:
    kinds = "; ".join(f"{name}: {kind.about}" for name, kind in FORMATS.items())
    group.add_argument("--format", choices=FORMATS, default="h264", help=f"{kinds} (h264)")
    group.add_argument(
        "--quality", type=float, help="of h264 and hevc: their CRF, 0 (best) to 51 (the encoder's choice)"
    )
    group.add_argument("--bit-rate", type=read_bit_rate, help="of h264 and hevc, instead: bits a second, as 8M or 800k")
    group.add_argument("--bit-depth", type=int, choices=BIT_DEPTHS, help="of the colours (the source's)")


def run(arguments: argparse.Namespace) -> int:
    """Outpaint, and return the exit code. Raises ValueError or OSError for what cannot be used."""
    missing = [package for package in ("av", "diffusers") if importlib.util.find_spec(package) is None]
    if missing:
        raise ValueError(f"outpaint needs packages that are not installed: run `pip install {' '.join(missing)}`")
    # Imported here: torch takes seconds, and --help should not.
    from .many import outpaint_many
    from .one import load, outpaint_one

    many = is_many(Path(arguments.source))
    if arguments.resume and not many:
        raise ValueError(f"got --resume for {arguments.source}, expected it for many videos: one goes on without it")
    if arguments.board and many:
        raise ValueError(f"got --board for {arguments.source}, expected it for one video: its scenes are those of one")
    with ExitStack() as opened:
        models = cache(lambda: load(arguments, opened))
        if many:
            return outpaint_many(arguments, models, running_line())
        taken = outpaint_one(arguments, models, running_line())["clips_of_an_earlier_run"]
    if taken:
        print(f"clips that an earlier run had finished: {taken}", file=sys.stderr)
    print(arguments.target)
    return 0
