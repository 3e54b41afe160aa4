"""A worker in this process: who it is, the same bits as without it, short memory, and weights that are sent."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from m3ddm_core.checkpoint import save_checkpoint
from m3ddm_core.fleet.actor import Weights
from m3ddm_core.fleet.identity import difference
from m3ddm_core.fleet.packets import (
    ASK,
    BRANCH,
    DONE,
    ENCODE,
    FAILED,
    MEMORY,
    NOTE,
    SAMPLE,
    STEP,
    pack,
    pack_batch,
    unpack,
)
from m3ddm_core.fleet.shared import NOBODY
from m3ddm_core.fleet.shell import OK, REFUSED, Shell
from m3ddm_core.fleet.worker import Worker
from m3ddm_core.models import load_models, load_network
from m3ddm_core.sampling.clip import BranchInputs, ClipConditions
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.sampling.wave import Batch
from m3ddm_core.vae import load_vae
from tests.helpers.checkpoint_files import TINY

VAE = Path(__file__).resolve().parents[3] / "models" / "m3ddm_demo_vae.safetensors"
SETTINGS = SamplingSettings(steps=2, sampler="euler")
ORDER = {"settings": SETTINGS.flat(), "seed": 1}


@pytest.fixture
def weights(tmp_path, tiny):
    save_checkpoint(tmp_path / "tiny.safetensors", tiny, TINY)
    return Weights(str(tmp_path / "tiny.safetensors"), str(VAE), "cpu")


@pytest.fixture
def worker(weights):
    worker = Worker(weights.files, weights.digests, weights.device, weights.dtype, torch.get_num_threads())
    assert worker.missing() == []
    worker.load()
    return worker


def batch_of(clips):
    draw = torch.Generator().manual_seed(0)

    def latents(channels):
        # As they are gathered from a state: frames first in memory, or nothing in a loop over them adds up alike.
        return torch.randn((clips, 16, channels, 8, 8), generator=draw).transpose(1, 2)

    conditions = ClipConditions(latents(5), latents(5), torch.randn((2, 4, 32, 32), generator=draw), 25)
    return Batch(conditions, latents(4), latents(4), lambda *step: None)


def unhelped(worker, packed):
    """The answers of a worker of which others are too busy to help it."""
    for answer in worker.work(SAMPLE, ORDER, packed):
        if answer[0] == ASK:
            worker.give(answer[1], NOBODY)
        else:
            yield answer


def test_a_worker_is_known_by_code_torch_and_weights(weights, worker):
    identity = worker.load()
    assert difference(identity, weights.identity) == ""
    assert identity["device"] == "cpu" and "canvas_size" in identity["advice"]
    assert difference({**identity, "network": "f" * 64}, weights.identity).startswith(
        "got another network (ffffffffffff), expected that of the one who asks ("
    )
    assert "version of torch (1.0)" in difference({**identity, "torch": "1.0"}, weights.identity)
    assert "version of this library (none)" in difference({"torch": torch.__version__}, weights.identity)


def test_a_worker_makes_the_same_bits(weights, worker):
    batch = batch_of(1)
    models = load_models(load_network(weights.network), load_vae(weights.vae))
    *steps, (what, packed) = unhelped(worker, pack_batch(batch))
    assert what == DONE
    assert [step[:3] for step in steps] == [(STEP, 0, 2), (STEP, 1, 2)]
    assert torch.equal(unpack(packed)["result"], models.sampler(SETTINGS, 1)(*batch))
    frames = torch.rand((2, 16, 3, 16), generator=torch.Generator().manual_seed(1)).transpose(2, 3)
    ((what, packed),) = worker.work(ENCODE, {}, pack(input=frames))
    assert what == DONE and torch.equal(unpack(packed)["result"], models.encode(frames))


def test_what_does_not_fit_is_sampled_in_halves_and_so_from_then_on(worker, monkeypatch):
    sizes = []

    def small(conditions, start, noise, callback):
        """A GPU with room for two clips."""
        sizes.append(len(start))
        if len(start) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert len(conditions.masked_video) == len(conditions.blank_video) == len(noise) == len(start)
        return start + noise

    monkeypatch.setattr("m3ddm_core.fleet.worker.clip_sampler", lambda *given: small)
    batch = batch_of(7)
    *notes, (what, packed) = worker.work(SAMPLE, ORDER, pack_batch(batch))
    assert what == DONE and torch.equal(unpack(packed)["result"], batch.start + batch.noise)
    assert [note[0] for note in notes] == [NOTE, NOTE]
    assert "out of memory with 7 clips at once; samples 3 at once" in notes[0][1] and sizes[:3] == [7, 3, 1]
    sizes.clear()
    list(worker.work(SAMPLE, ORDER, pack_batch(batch_of(4))))
    assert sizes == [1, 1, 1, 1]


def test_one_clip_that_does_not_fit_is_told_and_other_faults_too(worker, monkeypatch):
    for error, of in ((torch.OutOfMemoryError("CUDA out of\nmemory"), MEMORY), (KeyError("x"), "other")):
        broken = Mock(side_effect=error)
        monkeypatch.setattr("m3ddm_core.fleet.worker.clip_sampler", lambda *given, broken=broken: broken)
        ((what, found, text),) = worker.work(SAMPLE, ORDER, pack_batch(batch_of(1)))
        assert (what, found) == (FAILED, of) and "\n" not in text
    ((what, found, text),) = worker.work("dance", ORDER, pack_batch(batch_of(1)))
    assert what == FAILED and "got 'dance', expected sample, branch, encode or decode" in text


def test_a_worker_that_is_told_to_stop_does_so_after_a_step(worker):
    answers = unhelped(worker, pack_batch(batch_of(1)))
    assert next(answers)[0] == STEP
    worker.stop()
    assert [answer[0] for answer in answers][-1] in (FAILED, DONE)


def test_a_worker_that_is_told_to_stop_waits_for_no_help(worker):
    answers = worker.work(SAMPLE, ORDER, pack_batch(batch_of(1)))
    assert next(answers)[0] == ASK
    worker.stop()
    assert [answer[0] for answer in answers][-1] == FAILED


@pytest.mark.parametrize("taken", [{0}, {1}, {0, 1, 2, 3}, {1, 2}])
def test_bits_are_the_same_whoever_evaluates_a_branch(weights, worker, taken, monkeypatch):
    """``taken``: the numbers of the branches that another worker takes, two a step."""
    evaluate, one = BranchInputs.evaluate, threading.Lock()

    def one_at_a_time(*given):
        # Both compute with all threads of this process: at once they would only be in each other's way.
        with one:
            return evaluate(*given)

    monkeypatch.setattr(BranchInputs, "evaluate", one_at_a_time)
    helper = Worker(weights.files, weights.digests, weights.device, weights.dtype, torch.get_num_threads())
    helper.load()
    batch = batch_of(2)
    expected = load_models(load_network(weights.network), load_vae(weights.vae)).sampler(SETTINGS, 1)(*batch)
    helped = []
    for what, *told in worker.work(SAMPLE, ORDER, pack_batch(batch)):
        if what == ASK:
            number, branch = told
            answer = NOBODY
            if number in taken:
                ((_, answer),) = helper.work(BRANCH, {}, branch)
            helped.append(answer != NOBODY)
            worker.give(number, answer)
    assert torch.equal(unpack(told[0])["result"], expected)
    assert any(helped), "the other did something"
    assert len(helped) == 2 + sum(helped[:2]), "what nobody took is not asked for again"


def test_an_answer_that_nobody_waits_for_is_nothing(worker):
    worker.give(99, NOBODY)
    ((what, _),) = worker.work(ENCODE, {}, pack(input=torch.rand(1, 16, 16, 3)))
    assert what == DONE


def test_weights_that_are_not_seen_there_are_sent_in_parts(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "there"))
    (tmp_path / "there").mkdir()
    content = Path(weights.network).read_bytes()
    digests = weights.digests
    Path(weights.network).unlink()
    shell = Shell()
    assert shell.begin(weights.files, digests, "cpu", "fp32", 1) == (OK, ["network"])
    half = len(content) // 2
    shell.receive("network", content[:half], False)
    assert shell.load()[0] == REFUSED, "half a file is none"
    shell.receive("network", content[half:], True)
    outcome, identity = shell.load()
    assert outcome == OK and identity["network"] == digests["network"]
    assert Shell().begin(weights.files, digests, "cpu", "fp32", 1) == (OK, []), "once for a machine"


def test_what_is_no_checkpoint_is_refused_in_one_line(weights):
    Path(weights.network).write_bytes(b"no checkpoint")
    shell = Shell()
    shell.begin(weights.files, weights.digests, "cpu", "fp32", 1)
    outcome, text = shell.load()
    assert outcome == REFUSED and "tiny.safetensors" in text and "\n" not in text
