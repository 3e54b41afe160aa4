"""The commands: ``python run.py demo`` outpaints a real clip in a real ComfyUI, ``test`` tests all, ``bench`` measures,
``docs`` writes the papers that repeat the nodes' schemas.

All find a ComfyUI (COMFYUI_PATH, or the one this pack is installed in) or make one in a cache folder, once. Only the
standard library is needed to start them.
"""

import argparse
import signal
import sys
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 - said here, before anything that an older Python cannot even read
    sys.exit(f"run.py: got Python {sys.version.split()[0]}, expected 3.10 or newer")


def main() -> int:
    """Read the command line, do it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="outpaint a clip and leave the video, a before/after strip and a summary")
    demo.add_argument(
        "--checkpoint", type=Path, help="an M3DDM checkpoint (default: one found in ComfyUI, or a small one)"
    )
    demo.add_argument("--vae", type=Path, help="a Stable Diffusion 1.5 VAE file")
    demo.add_argument("--input", type=Path, help="the video (default: the clip that ships in assets/)")
    demo.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder to write to (default: demo_output)"
    )
    demo.add_argument("--steps", type=int, help="denoising steps a clip (default: what the checkpoint says, else 50)")

    test = commands.add_parser("test", help="run the tests, all tiers or those named")
    test.add_argument(
        "tiers", nargs="*", metavar="TIER", help="lint, core, golden, comfy, e2e, browser, newest (default: all)"
    )
    test.epilog = "Whatever else is given goes to pytest: a file or test::name of the one tier, -k NAME, -x, ..."

    docs = commands.add_parser("docs", help="write what the papers repeat of the nodes' schemas")
    docs.add_argument("--check", action="store_true", help="write nothing; name what is stale")

    commands.add_parser("bench", help="measure a denoising step, a clip and a video (--help: options)", add_help=False)

    arguments, rest = parser.parse_known_args()
    if rest and arguments.command in ("demo", "docs"):
        parser.error(f"got {' '.join(rest)}, expected what `run.py {arguments.command} --help` names")

    from devtools.report import Problem

    # Ended from outside, servers and installations in progress are to be ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments.command == "demo":
            from devtools.demo import demo as run_demo

            run_demo(arguments.input, arguments.output, arguments.checkpoint, arguments.vae, arguments.steps)
            return 0
        if arguments.command == "docs":
            from devtools.docs import docs as write_docs

            return write_docs(arguments.check)
        if arguments.command == "bench":
            from devtools.bench import bench

            return bench(rest)
        from devtools.tiers import run_tiers

        return run_tiers(arguments.tiers, [argument for argument in rest if argument != "--"])
    except Problem as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
