"""Runs of `outpaint_file` that are killed: `python killed_runs.py SOURCE TARGET CHECKPOINT [CUT ...]`, times on stdin.

Each line of stdin is a run: how many events of it to wait for, and how many milliseconds more, before it is killed; an
empty line lets it end. Answered by one line of JSON a run: its events, whether the target is there, and what lies
beside it. The runs are forks of this process, which has imported everything and computed nothing: that takes no time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import av  # noqa: F401
import torch

from m3ddm_core.canvas.framing import Framing
from m3ddm_core.journal.store import USUAL, Journal
from m3ddm_core.models import Models, load_models, load_network
from m3ddm_core.outpaint import encode as encoding
from m3ddm_core.pipeline import Options, outpaint_file
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.video.board import Board
from tests.helpers.small_globals import SMALL

BEGUN, KEPT, STEP = b"b", b"k", b"s"
"""What a run tells of: a clip that is begun, one that was put into the journal, and anything else that moves on."""


def encode(frames: torch.Tensor) -> torch.Tensor:
    """Mean colours of 8x8 blocks, and a fourth channel of zeros."""
    means = torch.nn.functional.avg_pool2d(frames.movedim(-1, 1), 8)
    return torch.cat([means, torch.zeros_like(means[:, :1])], dim=1)


def decode(latents: torch.Tensor) -> torch.Tensor:
    return latents[:, :3].clamp(0, 1).repeat_interleave(8, -1).repeat_interleave(8, -2).movedim(1, -1)


def run(source: str, target: str, checkpoint: str, *cuts: str, events: int, to_be_killed: bool) -> None:
    """Outpaint a video with a journal, and tell of each event in a byte. With ``cuts`` whole scenes are kept too.

    One that is to be killed waits for it before the file gets its name: who kills may be held up longer than the rest
    of it takes.
    """
    torch.set_num_threads(1)
    encoding.GLOBAL_FRAME_SIZE = SMALL
    replace = os.replace

    def held(part, whole):
        if to_be_killed and Path(whole) == Path(target):
            time.sleep(3600)
        replace(part, whole)

    os.replace = held
    loaded = load_models(load_network(checkpoint), SimpleNamespace(encode=encode, decode=decode))

    def sampler(settings, seed):
        sample = loaded.sampler(settings, seed)

        def telling(conditions, start, noise, callback):
            os.write(events, BEGUN * len(start))
            return sample(conditions, start, noise, callback)

        return telling

    class Told(Journal):
        def put(self, key, made, kind=USUAL):
            super().put(key, made, kind)
            os.write(events, KEPT)

    path = Path(target)
    journal = Told(path.with_name(f".{path.name}.journal"))
    models = Models(encode, decode, sampler, loaded.clips_at_once, loaded.advice, loaded.recipe)
    options = Options(Framing(ratio="1:1", canvas_size=48), SamplingSettings(2), seed=3, journal=journal)
    if cuts:
        models = dataclasses.replace(models, vae_recipe=lambda: "colours")
        options = dataclasses.replace(options, board=Board({}, tuple(map(int, cuts))))
    outpaint_file(source, target, models, options, overwrite=True, report=lambda standing: os.write(events, STEP))


def killed(arguments: list[str], after: int | None, milliseconds: float) -> dict:
    """Run in a fork, kill it, and say what it had told and left."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        run(*arguments, events=writing, to_be_killed=after is not None)
        os._exit(0)
    os.close(writing)
    told = b""
    while (after is None or len(told) < after) and (some := os.read(reading, 1)):
        told += some
    if after is not None:
        time.sleep(milliseconds / 1000)
        os.kill(child, signal.SIGKILL)
    while some := os.read(reading, 4096):
        told += some
    _, status = os.waitpid(child, 0)
    target = Path(arguments[1])
    return {
        "events": told.decode(),
        "killed": os.WIFSIGNALED(status),
        "there": target.exists(),
        "beside": sorted(path.name for path in target.parent.iterdir() if path != target),
    }


if __name__ == "__main__":
    for line in sys.stdin:
        after, _, milliseconds = line.partition(" ")
        moment = (int(after), float(milliseconds)) if line.strip() else (None, 0.0)
        print(json.dumps(killed(sys.argv[1:], *moment)), flush=True)
