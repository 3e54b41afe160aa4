"""The library's command line: ``python -m m3ddm_core <command>``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

BAD_INPUT = 2
INTERRUPTED = 130

SAMPLING = {
    "steps": int,
    "sampler": str,
    "scheduler": str,
    "context_scale": float,
    "global_scale": float,
    "guidance_start": float,
    "guidance_end": float,
    "unconditional_every": int,
    "denoise": float,
    "guide_noise": int,
    "clips_per_batch": int,
}
"""The flat names of `SamplingSettings` and what reads them; spelled out, since --help is not to wait for torch."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 2 for input that cannot be used or is too large for the memory, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m m3ddm_core", description="M3DDM video outpainting as a library.")
    parser.set_defaults(smaller="close other programs, or take a machine with more of it")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_outpaint(commands)
    _add_convert(commands)
    _add_evaluate(commands)
    _add_convert_metric(commands)
    _add_train(commands)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        print(f"interrupted; {arguments.kept}", file=sys.stderr)
        return INTERRUPTED
    # Every error about the input is a ValueError of ours; a TypeError or an IndexError would be a fault in here.
    except (ValueError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines()] if arguments.run is _outpaint else [str(error)]
        print(f"error: {'; '.join(lines)}", file=sys.stderr)
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        said = str(error).splitlines() or ["no more is to be had"]
        print(f"error: out of memory ({said[0]}); {arguments.smaller}; {arguments.kept}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _is_of_memory(error: Exception) -> bool:
    """Whether memory ran out: for GPUs torch has a class of its own, for the CPU a text."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )


def _add_outpaint(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    description = (
        "Outpaint a video file: the frame grows, and what is new is generated. Sound and times are kept. The settings "
        "are those of the node M3DDM Outpaint Video and mean the same."
    )
    parser = commands.add_parser("outpaint", help="outpaint a video", description=description)
    parser.add_argument("source", metavar="IN", help="the video")
    parser.add_argument("target", metavar="OUT.mp4", help="the file to write")
    parser.add_argument("--checkpoint", required=True, help="the network: any file or folder that `convert` reads")
    parser.add_argument("--vae", required=True, help="a Stable Diffusion 1.x VAE, or a tiny one in TAESD's format")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.mp4 if it exists")
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
        choices=("off", "start", "layer", "both"),
        default="both",
        help="use what other frames have filmed of the border: sampling starts from it, it is laid over the result "
        "(both)",
    )
    sampling.add_argument("--no-scene-cuts", action="store_true", help="treat the video as one scene")
    sampling.add_argument(
        "--cut-threshold", type=float, default=0.25, help="how much frames must differ at a cut (0.25)"
    )

    meeting = parser.add_argument_group("where the border meets the source")
    meeting.add_argument("--feather", type=int, default=8, help="width of the soft edge in pixels (8)")
    meeting.add_argument("--colour-match", choices=("none", "linear", "steady"), default="none", help="(none)")
    meeting.add_argument("--resampling", default="lanczos", help="(lanczos)")
    meeting.add_argument("--blend", choices=("feather", "gradient"), default="feather", help="(feather)")

    machine = parser.add_argument_group("the machine")
    machine.add_argument("--device", help="cpu, cuda, mps (default: cuda where there is one)")
    machine.add_argument("--dtype", choices=("fp32", "fp16", "bf16"), default="fp32", help="of the network (fp32)")
    machine.add_argument(
        "--no-journal",
        action="store_true",
        help="keep no finished clips. Without this they lie in the folder .OUT.mp4.journal until OUT.mp4 is whole, and "
        "the same command goes on where it was killed",
    )
    parser.set_defaults(
        run=_outpaint,
        kept="nothing was written",
        smaller="lower --canvas-size or --clips-per-batch, or take --dtype bf16",
    )


def _outpaint(arguments: argparse.Namespace) -> None:
    missing = [package for package in ("av", "diffusers") if importlib.util.find_spec(package) is None]
    if missing:
        raise ValueError(f"outpaint needs packages that are not installed: run `pip install {' '.join(missing)}`")

    import torch

    from .canvas.framing import Framing
    from .checkpoint import DTYPES
    from .journal.store import Journal
    from .pipeline import Options, check_files, load_models, load_network, load_vae, outpaint_file, read_mask
    from .sampling.settings import preset_settings

    given = {name: getattr(arguments, name) for name in SAMPLING if hasattr(arguments, name)}
    framing = Framing(
        ratio=arguments.ratio,
        pixels=arguments.pixels and tuple(arguments.pixels),
        offset=arguments.offset and tuple(arguments.offset),
        **{
            name: getattr(arguments, name)
            for name in ("anchor", "canvas_size", "canvas_shape", "fill", "size_multiple")
        },
    )
    journal = None if arguments.no_journal else Journal(_journal_folder(arguments.target))
    options = Options(
        framing=framing,
        settings=preset_settings(arguments.preset, given),
        seed=arguments.seed,
        cut_threshold=None if arguments.no_scene_cuts else arguments.cut_threshold,
        second_pass=arguments.second_pass,
        second_denoise=arguments.second_denoise,
        seen=arguments.seen,
        blending={name: getattr(arguments, name) for name in ("feather", "colour_match", "resampling", "blend")},
        journal=journal,
    )
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_files(arguments.source, arguments.target, overwrite=arguments.overwrite)  # Before weights are read.
    source_mask = read_mask(arguments.source_mask) if arguments.source_mask else None
    network = load_network(arguments.checkpoint, device, DTYPES[arguments.dtype])
    line = running_line()
    if journal:
        arguments.kept = "the same command goes on from here"
    outpaint_file(
        arguments.source,
        arguments.target,
        load_models(network, load_vae(arguments.vae, device)),
        options,
        first_frames=arguments.first_frames,
        source_mask=source_mask,
        overwrite=arguments.overwrite,
        report=lambda standing: line(standing.share, standing.text),
    )
    if journal:
        if journal.taken:
            print(f"clips that an earlier run had finished: {journal.taken}", file=sys.stderr)
        journal.empty()
    print(arguments.target)


def _journal_folder(target: str) -> Path:
    """Beside the file to write, where there is room for it, and out of sight."""
    return Path(target).with_name(f".{Path(target).name}.journal")


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    description = (
        "Turn a checkpoint (.safetensors, the published .bin, a .ckpt of M3DDM+, a diffusers folder) into one flat "
        "safetensors file, checked tensor by tensor."
    )
    parser = commands.add_parser("convert", help="any checkpoint into one safetensors file", description=description)
    parser.add_argument("source", metavar="IN", help="a file, or a diffusers folder")
    parser.add_argument("target", metavar="OUT.safetensors", help="the file to write")
    parser.add_argument("--dtype", choices=("fp32", "fp16", "bf16"), help="of the weights (default: as they are)")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.set_defaults(run=_convert, kept="nothing was changed")


def _convert(arguments: argparse.Namespace) -> None:
    # Imported here: torch takes seconds, and --help should not.
    from .checkpoint import DTYPES
    from .checkpoint.convert import convert

    convert(
        arguments.source,
        arguments.target,
        dtype=DTYPES.get(arguments.dtype),
        force=arguments.force,
        log=lambda line: print(line, flush=True),
        progress=progress_line(),
    )


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from .evaluation.command import add_arguments, run

    description = (
        "Measure outpainting over a folder of videos as the paper does: parts of the frame are taken away, methods "
        "fill them in, and the result is compared with what was there."
    )
    parser = commands.add_parser("evaluate", help="measure methods over a folder of videos", description=description)
    add_arguments(parser)
    parser.set_defaults(run=run, kept="the same command goes on from here")


def _add_convert_metric(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from .evaluation.convert_metric import add_arguments, run

    description = (
        "Turn the published weights of a network that measures, I3D or DISTS, into one safetensors file for evaluate, "
        "checked tensor by tensor. Nothing in a pickle is run."
    )
    parser = commands.add_parser("convert-metric", help="weights of I3D or DISTS for evaluate", description=description)
    add_arguments(parser)
    parser.set_defaults(run=run, kept="nothing was changed")


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from .training.command import add_arguments, run

    description = "Train an M3DDM network as the paper does, from synthetic scenes or a folder of videos."
    parser = commands.add_parser("train", help="train a network", description=description)
    add_arguments(parser)
    parser.set_defaults(run=run, kept="go on with --resume")


def progress_line() -> Callable[[int, int], None]:
    """Return a callback for (bytes done, bytes in all)."""
    line = running_line()
    return lambda done, total: line(done / total, f"{done / 1e9:.2f} of {total / 1e9:.2f} GB")


def running_line() -> Callable[[float, str], None]:
    """Return a callback for (share done, what is being done): a running line on a terminal, else one each tenth."""
    terminal = sys.stderr.isatty()
    step = 1 if terminal else 10
    shown, width = -1, 0

    def report(share: float, text: str) -> None:
        nonlocal shown, width
        percent = int(100 * share)
        if percent // step == shown and not terminal:
            return
        shown = percent // step
        line = f"  {percent:3d} %  {text}"
        end = "\n" if not terminal or share >= 1 else ""
        print(f"\r{line:{width}s}" if terminal else line, end=end, file=sys.stderr, flush=True)
        width = len(line) if not end else 0

    return report


if __name__ == "__main__":
    sys.exit(main())
