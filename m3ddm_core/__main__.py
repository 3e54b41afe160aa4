"""The library's command line: ``python -m m3ddm_core <command>``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

BAD_INPUT = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 2 for input that cannot be used, or 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m m3ddm_core", description="M3DDM video outpainting as a library.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_convert(commands)
    _add_evaluate(commands)
    _add_train(commands)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        print(f"interrupted; {arguments.kept}", file=sys.stderr)
        return INTERRUPTED
    # Every error about the input is a ValueError of ours; a TypeError or an IndexError would be a fault in here.
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


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
    from .checkpoint.convert import DTYPES, convert

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


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from .training.command import add_arguments, run

    description = "Train an M3DDM network as the paper does, from synthetic scenes or a folder of videos."
    parser = commands.add_parser("train", help="train a network", description=description)
    add_arguments(parser)
    parser.set_defaults(run=run, kept="go on with --resume")


def progress_line() -> Callable[[int, int], None]:
    """Return a callback for (bytes done, bytes in all): one running line on a terminal, else a line each tenth."""
    terminal = sys.stderr.isatty()
    step = 1 if terminal else 10
    shown = -1

    def report(done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // total
        if percent // step == shown:
            return
        shown = percent // step
        line = f"  {percent:3d} %  {done / 1e9:.2f} of {total / 1e9:.2f} GB"
        end = "\n" if not terminal or done == total else ""
        print(f"\r{line}" if terminal else line, end=end, file=sys.stderr, flush=True)

    return report


if __name__ == "__main__":
    sys.exit(main())
