"""The library's command line: ``python -m m3ddm_core <command>``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .command.lines import progress_line
from .sampling.memory import is_of_memory, out_of_memory

BAD_INPUT = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0; 1 where some of many videos could not be made; 2 for input that cannot be used or is too large for the
    memory; 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m m3ddm_core", description="M3DDM video outpainting as a library.")
    parser.set_defaults(smaller="close other programs, or take a machine with more of it", in_one_line=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_outpaint(commands)
    _add_scenes(commands)
    _add_convert(commands)
    _add_evaluate(commands)
    _add_convert_metric(commands)
    _add_train(commands)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except KeyboardInterrupt:
        print(f"interrupted; {arguments.kept}", file=sys.stderr)
        return INTERRUPTED
    # Every error about the input is a ValueError of ours; a TypeError or an IndexError would be a fault in here.
    except (ValueError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines()] if arguments.in_one_line else [str(error)]
        print(f"error: {'; '.join(lines)}", file=sys.stderr)
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise
        print(f"error: {out_of_memory(error, arguments.smaller)}; {arguments.kept}", file=sys.stderr)
        return BAD_INPUT


def _add_outpaint(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from .command.outpaint import add_arguments, run

    description = (
        "Outpaint a video file: the frame grows, and what is new is generated. Sound and times are kept. The settings "
        "are those of the node M3DDM Outpaint Video and mean the same. Many videos at once: a folder, a list (.txt, a "
        "path a line) or a table (.csv, with the column source, and target and any setting for each) into a folder, "
        "with a manifest of what became of each."
    )
    parser = commands.add_parser("outpaint", help="outpaint a video, or a folder of them", description=description)
    add_arguments(parser)
    parser.set_defaults(
        run=run,
        kept="nothing was written",
        smaller="lower --canvas-size or --clips-per-batch, or take --dtype bf16",
        in_one_line=True,
    )


def _add_scenes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from .command.scenes import add_arguments, run

    description = (
        "List a video's scenes: a quick look, without any model. The board it writes says what is decided for each; "
        "edit it, and give it to outpaint --board. A scene may have an anchor (a name, or two shares of the spare room "
        "such as [0.2, 0.5]) or an offset ([x, y] in source pixels), a seed, guides (pictures by frame numbers that "
        "count from the scene's first), or leave: true, which generates nothing and leaves the border black."
    )
    parser = commands.add_parser("scenes", help="list a video's scenes, to decide for each", description=description)
    add_arguments(parser)
    parser.set_defaults(run=run, kept="nothing was written", in_one_line=True)


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


if __name__ == "__main__":
    sys.exit(main())
