"""The command line, in forks of this process, which has imported everything and computed nothing."""

from __future__ import annotations

import os
import signal
import time
import traceback
from pathlib import Path

from benchmarks.material import SIDE

from .way import Due, Run

VAE = Path(__file__).resolve().parents[2] / "models" / "m3ddm_demo_vae.safetensors"


class CommandLine:
    """`python -m m3ddm_core outpaint` with the demonstration's autoencoder; ``steps`` of a clip, ``seen`` as there."""

    def __init__(self, folder: Path, source: Path, network: Path, steps: int, seen: str):
        import av  # noqa: F401
        from diffusers import AutoencoderTiny  # noqa: F401

        import m3ddm_core.pipeline  # noqa: F401

        # A fork is spared these imports.
        self.start = time.process_time()
        self.out, self.log = folder / "out", folder / "log.txt"
        self.out.mkdir()
        self.command = ["outpaint", str(source), str(self.out / "out.mp4"), "--checkpoint", str(network)]
        self.command += ["--vae", str(VAE), "--ratio", "16:9", "--canvas-size", str(SIDE), "--steps", str(steps)]
        self.command += ["--seen", seen]
        # Unguided, for one evaluation a step: what a clip takes is not what is measured.
        self.command += ["--device", "cpu", "--context-scale", "1", "--global-scale", "1"]

    def run(self, due: Due | None = None) -> Run:
        """See `Way`."""
        import psutil

        reading, writing = os.pipe()
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(reading)
            output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            # Nothing of this process is the child's: it ends here, whatever happens.
            try:
                os._exit(_outpaint(self.command, writing))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        os.close(writing)
        if due is not None:
            process = psutil.Process(child)
            while process.status() != psutil.STATUS_ZOMBIE and not due(sum(process.cpu_times()[:2])):
                time.sleep(0.01)
            os.kill(child, signal.SIGKILL)
        clips = 0
        while some := os.read(reading, 4096):
            clips += len(some)
        os.close(reading)
        _, status, used = os.wait4(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError(f"the command failed:\n{self.log.read_text()[-2000:]}")
        cpu = used.ru_utime + used.ru_stime
        return Run(time.monotonic() - begun, cpu, clips, os.WIFSIGNALED(status), self.start)

    def forget(self) -> None:
        """Nothing: the command empties its journal when the video is whole."""


def _outpaint(command: list[str], telling: int) -> int:
    """Run the command line; each clip that is begun is told of in a byte."""
    import torch

    from m3ddm_core import __main__, models

    torch.set_num_threads(1)
    made = models.guided_sampler

    def guided_sampler(*arguments):
        sample = made(*arguments)

        def told(conditions, start, noise, callback):
            os.write(telling, b"b" * len(start))
            return sample(conditions, start, noise, callback)

        return told

    models.guided_sampler = guided_sampler
    return __main__.main(command)
