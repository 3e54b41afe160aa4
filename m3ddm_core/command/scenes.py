"""``python -m m3ddm_core scenes``: a video's scenes, a strip of pictures of them, and a board ready to be edited."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from .lines import running_line

NEEDED = {"av": "av", "PIL": "pillow"}
"""Modules, and the packages that have them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments. Needs the standard library alone."""
    parser.add_argument("source", metavar="IN", help="the video")
    parser.add_argument("--board", metavar="FILE", help="write the scenes as JSON, to be edited for outpaint --board")
    parser.add_argument("--strip", metavar="FILE", help="write small pictures of each scene, a row each (.png)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--first-frames", type=int, default=0, help="look at only so many frames (0: all)")
    parser.add_argument("--cut-threshold", type=float, default=0.25, help="how much frames must differ at a cut (0.25)")


def run(arguments: argparse.Namespace) -> int:
    """List the scenes, and return the exit code. Raises ValueError or OSError for what cannot be used."""
    missing = [package for name, package in NEEDED.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"scenes needs packages that are not installed: run `pip install {' '.join(missing)}`")
    # Imported here: torch takes seconds, and --help should not.
    from ..video.board import write_board
    from ..video.cuts import find_cuts
    from ..video.file import FileSource
    from ..video.listing import draw_strip, list_scenes, png
    from ..video.whole import whole_file

    _require_new(arguments)
    report = running_line()

    def on_frame(done: int, expected: int) -> None:
        report(min(done / expected, 0.99), f"looking through the video, frame {done}")

    source = FileSource(arguments.source, most=arguments.first_frames, on_frame=on_frame)
    cuts = find_cuts(source.thumbnails, arguments.cut_threshold)
    scenes = list_scenes(source.info.timeline, cuts)
    report(1.0, f"{len(source.info.timeline)} frames, {len(scenes)} scenes")
    if arguments.strip:
        with whole_file(arguments.strip) as part:
            part.write_bytes(png(draw_strip(source.thumbnails, source.info.size, scenes)))
    if arguments.board:
        with whole_file(arguments.board) as part:
            part.write_text(write_board(cuts), encoding="utf-8")
    for number, scene in enumerate(scenes, start=1):
        print(f"{number:4d}  {scene}")
    return 0


def _require_new(arguments: argparse.Namespace) -> None:
    """Raise FileExistsError for files that are there: a board holds decisions."""
    for name in (arguments.board, arguments.strip):
        if name and Path(name).exists() and not arguments.overwrite:
            raise FileExistsError(f"got {name}, which exists, expected a new name; --overwrite replaces it")
