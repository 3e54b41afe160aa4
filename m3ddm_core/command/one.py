"""One video, as the command line asks for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from ..canvas.framing import Framing
from ..canvas.result_size import parse_result_size
from ..checkpoint import DTYPES
from ..fleet.actor import Weights
from ..fleet.models import fleet_models
from ..fleet.on_ray import Where, ray_fleet
from ..journal.store import Journal
from ..models import Models, load_models, load_network
from ..pipeline import FIND_BARS, Options, outpaint_file, read_mask
from ..sampling.settings import preset_settings
from ..vae import load_vae
from ..video.board import MOST_BYTES, Board, read_board
from ..video.crop import Crop
from ..video.formats import Encoding
from ..video.place import check_files
from .settings import SAMPLING


def load(arguments: argparse.Namespace, opened: ExitStack) -> Models:
    """Load the two networks, or have the workers of a fleet do so until ``opened`` is closed. Raises ValueError or
    OSError for files that are none."""
    if arguments.ray:
        weights = Weights(arguments.checkpoint, arguments.vae, arguments.device or "", arguments.dtype)
        where = Where(arguments.ray, arguments.ray_workers, arguments.ray_gpus, arguments.ray_threads)
        return fleet_models(opened.enter_context(ray_fleet(where, weights)))
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    network = load_network(arguments.checkpoint, device, DTYPES[arguments.dtype])
    return load_models(network, load_vae(arguments.vae, device))


def outpaint_one(
    arguments: argparse.Namespace, models: Callable[[], Models], report: Callable[[float, str], None]
) -> dict[str, Any]:
    """Outpaint a video as the arguments say, and return figures of it; ``models`` loads them when they are needed."""
    journal = None if arguments.no_journal else Journal(_journal_folder(arguments.target))
    options = _options_of(arguments, journal)
    # Before weights are read.
    check_files(arguments.source, arguments.target, options.encoding, overwrite=arguments.overwrite)
    source_mask = read_mask(arguments.source_mask) if arguments.source_mask else None
    loaded = models()
    if journal:
        arguments.kept = "the same command goes on from here"
    finished = outpaint_file(
        arguments.source,
        arguments.target,
        loaded,
        options,
        first_frames=arguments.first_frames,
        source_mask=source_mask,
        overwrite=arguments.overwrite,
        report=lambda standing: report(standing.share, standing.text),
    )
    # Whoever decides for single scenes comes back, and then only what has changed is to be made.
    if journal and not arguments.board:
        journal.empty()
    return {
        "size": list(finished.info.size),
        "frames": len(finished.info.timeline),
        "scenes": len(finished.scenes),
        "clips_of_an_earlier_run": journal.taken if journal else 0,
    }


def _options_of(arguments: argparse.Namespace, journal: Journal | None) -> Options:
    given = {name: getattr(arguments, name) for name in SAMPLING if hasattr(arguments, name)}
    framing = Framing(
        ratio=arguments.ratio,
        pixels=arguments.pixels and tuple(arguments.pixels),
        offset=arguments.offset and tuple(arguments.offset),
        size=parse_result_size(arguments.size),
        **{
            name: getattr(arguments, name)
            for name in ("anchor", "canvas_size", "canvas_shape", "fill", "size_multiple")
        },
    )
    return Options(
        framing=framing,
        settings=preset_settings(arguments.preset, given),
        seed=arguments.seed,
        cut_threshold=None if arguments.no_scene_cuts else arguments.cut_threshold,
        second_pass=arguments.second_pass,
        second_denoise=arguments.second_denoise,
        seen=arguments.seen,
        blending={name: getattr(arguments, name) for name in ("feather", "colour_match", "resampling", "blend")},
        journal=journal,
        board=_board_of(arguments.board) if arguments.board else Board(),
        encoding=Encoding(arguments.format, arguments.bit_depth, arguments.quality, arguments.bit_rate),
        crop=Crop(*arguments.crop) if arguments.crop else FIND_BARS if arguments.crop_bars else None,
        fields=arguments.deinterlace,
    )


def _board_of(name: str) -> Board:
    """The board in a file; the paths of its guides count from where it lies."""
    file = Path(name)
    if not file.is_file():
        raise FileNotFoundError(f"got the board {file}, where no file lies; `scenes --board` writes one")
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"got the board {file} of {file.stat().st_size:,} bytes, expected at most {MOST_BYTES:,}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"got {file}, which is not text in UTF-8, expected that; save it so") from None

    def find_guide(guide: str) -> Path:
        path = file.parent / guide
        if not path.is_file():
            raise FileNotFoundError(f"got the guide {guide!r} in {file}, expected a picture at {path}")
        return path

    return read_board(text, find_guide)


def _journal_folder(target: str) -> Path:
    """Beside the file to write, where there is room for it, and out of sight."""
    return Path(target).with_name(f".{Path(target).name}.journal")
