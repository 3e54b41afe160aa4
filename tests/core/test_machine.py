"""Faults of the machine: no memory at any moment, a disk that cannot be written, networks that give no numbers.

Each ends in an error, leaves nothing behind, and the next run comes out as if nothing had been.
"""

from __future__ import annotations

import errno
import gc
import os
import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m3ddm_core import __main__ as command_line
from m3ddm_core.canvas.framing import Framing
from m3ddm_core.journal.store import Journal
from m3ddm_core.models import Models, load_models, load_network
from m3ddm_core.outpaint.clips import NonFiniteLatents
from m3ddm_core.pipeline import Options, outpaint_file
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.video.whole import CannotWrite
from tests.helpers.failing import FailingAt, out_of_memory
from tests.helpers.killed_runs import decode, encode
from tests.helpers.panned_files import write_pan

FRAMES = 17
"""Two clips."""
MOMENTS = 10


@pytest.fixture
def run(tmp_path, narrow, small_globals):
    """Outpaint a clip with a small network and a journal; returns the file's bytes."""
    write_pan(tmp_path / "in.mp4", FRAMES, 32)
    (tmp_path / "out").mkdir()
    network = load_network(narrow)

    class VAE:
        encode, decode = staticmethod(encode), staticmethod(decode)

    def outpaint(models: Models | None = None) -> bytes:
        target = tmp_path / "out" / "out.mp4"
        journal = Journal(tmp_path / "out" / "journal")
        options = Options(Framing(ratio="16:9", canvas_size=32), SamplingSettings(1), seed=3, journal=journal)
        outpaint_file(tmp_path / "in.mp4", target, models or load_models(network, VAE()), options, overwrite=True)
        return target.read_bytes()

    outpaint.models = load_models(network, VAE())
    return outpaint


def left_in(folder: Path) -> list[str]:
    """What lies there but whole entries of a journal."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors")


def handles() -> int:
    gc.collect()
    return len(os.listdir("/dev/fd"))


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="counts handles in /dev/fd")
def test_out_of_memory_at_any_moment_leaves_nothing_and_the_next_run_is_equal(run, tmp_path):
    with FailingAt() as counting:
        expected = run()
    out = tmp_path / "out"
    draw, open_before, threads_before = random.Random(0), handles(), threading.active_count()
    for number in range(MOMENTS):
        for path in (out / "journal").iterdir():
            path.unlink()
        (out / "out.mp4").unlink(missing_ok=True)
        error = out_of_memory(number)
        moment = draw.randint(1, counting.count)
        with pytest.raises(type(error)), FailingAt(moment, error):
            run()
        assert left_in(out) == [], moment
        error.__traceback__ = None
        assert (handles(), threading.active_count()) == (open_before, threads_before), moment
    assert run() == expected


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory.\nTried"),
        RuntimeError("DefaultCPUAllocator: not enough"),
        MemoryError(),
    ],
)
def test_the_command_line_says_what_to_lower(error, monkeypatch, capsys):
    def full(arguments):
        raise error

    monkeypatch.setattr("m3ddm_core.command.outpaint.run", full)
    models = ["--checkpoint", "a.safetensors", "--vae", "b.safetensors"]
    assert command_line.main(["outpaint", "in.mp4", "out.mp4", "--ratio", "16:9", *models]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory (") and said.count("\n") == 1
    assert "lower --canvas-size or --clips-per-batch" in said and "nothing was written" in said


def test_what_is_no_lack_of_memory_is_raised_as_it_is(monkeypatch):
    def broken(arguments):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(command_line, "_convert", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        command_line.main(["convert", "a.bin", "b.safetensors"])


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_sampled(run, tmp_path, number, monkeypatch):
    opened = Path.open

    def refused(path, *arguments, **options):
        if path.suffix == ".part":
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *arguments, **options)

    def never(settings, seed):
        pytest.fail("a network was run for a video that cannot be written")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refused)
        with pytest.raises(CannotWrite, match=rf"out\.mp4 could not be written: {os.strerror(number)}; nothing of it"):
            run(replace(run.models, sampler=never))
    assert left_in(tmp_path / "out") == []
    assert run()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["network", "encoder"])
def test_a_network_that_gives_no_numbers_is_named_and_nothing_is_kept(run, tmp_path, where, value):
    made = run.models

    def sampler(settings, seed):
        sample = made.sampler(settings, seed)
        return lambda *inputs: sample(*inputs) * value

    spoiled = {
        "network": replace(made, sampler=sampler),
        "encoder": replace(made, encode=lambda frames: encode(frames) * value),
    }[where]
    with pytest.raises(NonFiniteLatents, match=r"clip of frames 0 to 15 .*nothing of it was kept"):
        run(spoiled)
    assert left_in(tmp_path / "out") == [] and not (tmp_path / "out" / "journal").exists()
    assert run()
