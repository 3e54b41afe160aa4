"""A whole video, and many, over a fleet in this process: scenes and videos side by side, and the same frames."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from m3ddm_core.canvas.framing import Framing
from m3ddm_core.command.jobs import Job
from m3ddm_core.command.manifest import Manifest
from m3ddm_core.command.queue import Tally, run_jobs
from m3ddm_core.fleet.fleet import Fleet
from m3ddm_core.fleet.models import FleetSampler
from m3ddm_core.models import Models
from m3ddm_core.pipeline import Options, outpaint_source
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.video.source import TensorSource
from tests.core.fleet.test_fleet import Inside, mixing_sampler
from tests.helpers.block_vae import BlockVAE
from tests.helpers.manifests import ended

OPTIONS = Options(Framing(ratio="1:1", canvas_size=32), SamplingSettings(steps=2), seed=3)


def video_of_scenes(*lengths):
    """A video of colours that move within a scene, and change where one ends."""
    draw = torch.Generator().manual_seed(0)
    scenes = []
    for number, length in enumerate(lengths):
        picture = torch.rand(1, 3, 6, 4 + length, generator=draw) * 0.2 + 0.8 * (number % 2)
        wide = torch.nn.functional.interpolate(picture, (48, 32 + length), mode="bilinear")[0]
        scenes += [wide[:, :, frame : frame + 32].movedim(0, -1) for frame in range(length)]
    return TensorSource(torch.stack(scenes), Fraction(25))


def here():
    return Models(BlockVAE.encode, BlockVAE.decode, lambda settings, seed: mixing_sampler, lambda *given: 1)


def frames_of(video):
    return torch.stack(list(video.frames()))


@pytest.mark.parametrize("second_pass", [0, 48])
def test_scenes_side_by_side_make_the_same_frames_and_are_heard_in_one_thread(second_pass):
    source = video_of_scenes(20, 17, 52, 9)
    options = replace(OPTIONS, second_pass=second_pass)
    expected = outpaint_source(source, here(), options)
    assert len(expected.scenes) == 4
    asking, shares = threading.current_thread(), []

    def report(standing):
        assert threading.current_thread() is asking
        shares.append(standing.share)

    with Fleet([Inside("a"), Inside("b"), Inside("c")]) as fleet:
        sampler = lambda settings, seed: FleetSampler(fleet, settings, seed)  # noqa: E731
        models = replace(here(), sampler=sampler, scenes_at_once=fleet.at_once)
        found = outpaint_source(source, models, options, report=report)
    assert torch.equal(frames_of(found), frames_of(expected))
    assert shares[-1] == 1 and shares == sorted(shares)


def test_stopping_leaves_nothing_running():
    def stop(standing):
        if standing.clip is not None:
            raise KeyboardInterrupt

    before = threading.active_count()
    with Fleet([Inside("a"), Inside("b")]) as fleet:
        sampler = lambda settings, seed: FleetSampler(fleet, settings, seed)  # noqa: E731
        models = replace(here(), sampler=sampler, scenes_at_once=fleet.at_once)
        with pytest.raises(KeyboardInterrupt):
            outpaint_source(video_of_scenes(20, 17, 20), models, OPTIONS, report=stop)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith(("ThreadPool", "m3ddm")):
            thread.join(120)
    assert threading.active_count() <= before


def test_videos_side_by_side_and_a_broken_one(tmp_path):
    together, heard, told = threading.Barrier(2, timeout=120), [], []
    jobs = [Job(tmp_path / f"{number}.mov", tmp_path / f"{number}.mp4") for number in range(5)]

    def make(job, report):
        if job.source.stem in "01":
            together.wait()
        report(0.5, "clip 1 of 2")
        if job.source.stem == "2":
            raise ValueError("got 2.mov, which cannot be read")
        job.target.write_bytes(b"video")
        return {"frames": 8}

    manifest = Manifest(tmp_path)
    tally = run_jobs(
        jobs,
        make,
        manifest,
        lambda job: {},
        resume=False,
        report=lambda share, text: heard.append((threading.current_thread(), share, text)),
        tell=told.append,
        at_once=2,
    )
    assert tally == Tally(made=4, failed=1) and len(told) == 1 and "2.mov" in told[0]
    lines = ended(tmp_path)
    assert sorted(line["outcome"] for line in lines) == ["done"] * 4 + ["failed"]
    assert {thread for thread, *_ in heard} == {threading.current_thread()}
    assert all(0 < share < 1 for _, share, _ in heard) and len(heard) == 5
