"""Whole runs, tiny ones: that they learn, and that nothing that happens to them changes where they end."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from m3ddm_core.checkpoint import build_unet, read_checkpoint
from m3ddm_core.sampling.advice import read_advice
from m3ddm_core.training.checkpoints import HEADER, RunFolder, SaveError
from m3ddm_core.training.config import Config, parse_config
from m3ddm_core.training.initialise import initial_network
from m3ddm_core.training.latents import encode_clips
from m3ddm_core.training.loop import NonFiniteLoss, learning_rate
from m3ddm_core.training.objective import DrawSource, loss_of, make_batch
from m3ddm_core.training.samples import ClipSource
from m3ddm_core.training.trainer import WEIGHTS, _NetworkTraining, train
from m3ddm_core.training.wrappers import Answer
from m3ddm_core.unet import M3DDMUNet
from m3ddm_core.vae import load_vae

ROOT = Path(__file__).resolve().parents[3]
STEPS = int(os.environ.get("M3DDM_TRAINING_STEPS", "40"))
"""The issue's 200 steps, killed twice, take two minutes on one core; the suite's own run is shorter."""

# Imports once, then forks a child for each run asked for: starting Python anew each time would take most of the time.
RUNNER = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from m3ddm_core.training import preview, report
from m3ddm_core.training.checkpoints import RunFolder
from m3ddm_core.training.config import parse_config
from m3ddm_core.training.trainer import train
import accelerate, torch.utils.tensorboard, diffusers.training_utils
print("ready", flush=True)
save = RunFolder.save
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        settings, to_be_killed = json.loads(line)

        def save_or_wait(folder, step, *given):
            # Who kills may be held up longer than the rest of the run takes.
            if to_be_killed and step == settings["run"]["steps"]:
                time.sleep(3600)
            save(folder, step, *given)

        RunFolder.save = save_or_wait
        train(parse_config(settings), resume=True, log=lambda line: None)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def rows(folder: Path) -> list[str]:
    return (folder / "loss.csv").read_text().splitlines()[1:]


def losses(folder: Path) -> list[float]:
    return [float(row.split(",")[1]) for row in rows(folder)]


def run(settings: dict[str, Any], folder: Path | None = None, **options: Any) -> Path:
    torch.set_num_threads(1)
    if folder is not None:
        settings = {**settings, "run": {**settings["run"], "output": str(folder)}}
    lines: list[str] = []
    train(parse_config(settings), log=lines.append, **options)
    return Path(settings["run"]["output"])


def assert_same_end(first: Path, second: Path) -> None:
    """Losses digit by digit, weights, averages and optimizer bit by bit."""
    assert (first / "loss.csv").read_bytes() == (second / "loss.csv").read_bytes()
    ends = [RunFolder(folder).latest() for folder in (first, second)]
    assert ends[0][0] == ends[1][0]
    for name in ("model.safetensors", WEIGHTS):
        one, other = (load_file((end[1] if name != WEIGHTS else end[1].parents[1]) / name) for end in ends)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    one, other = (torch.load(end[1] / "optimizer.bin", weights_only=True)["state"] for end in ends)
    assert all(torch.equal(one[n][key], other[n][key]) for n in one for key in ("exp_avg", "exp_avg_sq", "step"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_a_run_killed_twice_ends_bit_equal_and_has_learnt(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["run"] |= {"steps": STEPS, "save_every": max(2, STEPS // 8), "log_every": 3, "batch": 2}
    settings["data"] |= {"cache": str(tmp_path / "latents"), "cache_clips": 8}
    settings["objective"] = {"prediction": "v_prediction"}
    settings["optimizer"] |= {"lr": 5e-3}
    alone = run(settings, tmp_path / "alone")
    killed = tmp_path / "killed"
    settings["run"]["output"] = str(killed)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with server:
        assert server.stdout.readline() == "ready\n"
        # Between two checkpoints, and at whatever moment the second has just been begun.
        for kill_at in (STEPS // 3, 2 * STEPS // 3, None):
            server.stdin.write(json.dumps([settings, kill_at is not None]) + "\n")
            server.stdin.flush()
            pid = int(server.stdout.readline())
            if kill_at is not None:
                wait_for_row(killed, kill_at)
                os.kill(pid, signal.SIGKILL)
            status = int(server.stdout.readline())
            assert (os.WTERMSIG(status) == signal.SIGKILL) if kill_at is not None else status == 0
            assert kill_at is None or RunFolder(killed).latest()[0] < STEPS
        server.stdin.close()
    assert_same_end(alone, killed)
    assert len(losses(alone)) == STEPS
    config = parse_config(settings)
    begin, end = initial_network(config), initial_network(config)
    weights = load_file(RunFolder(alone).latest()[1] / "model.safetensors")
    end.load_state_dict({name.removeprefix("network."): tensor for name, tensor in weights.items()})
    assert mean_loss(end, config) < 0.9 * mean_loss(begin, config), "the loss goes down"


@torch.no_grad()
def mean_loss(network: M3DDMUNet, config: Config) -> float:
    """The loss over clips, timesteps and noise that the run has not seen."""
    vae, source = load_vae(config.path(config.vae.path)), ClipSource(config)
    numbers = list(range(10_000, 10_032))
    clips = encode_clips([source[number].shoot() for number in numbers], vae.encode, config.data)
    draws = DrawSource(1, config.objective, config.data.frames).of(numbers)
    batch = make_batch(clips, draws, config.objective)
    return loss_of(Answer(network)(batch.x, batch.timesteps, batch.global_latents, batch.fps), batch).item()


def wait_for_row(folder: Path, number: int, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (folder / "loss.csv").exists() and len(rows(folder)) >= number:
            return
        time.sleep(0.005)
    raise AssertionError(f"no {number} steps within {seconds} s")


def test_accumulation_is_a_larger_batch(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["run"] |= {"steps": 3, "save_every": 3}
    whole, halves = dict(settings["run"], batch=4), dict(settings["run"], batch=2, accumulation=2)
    first = run({**settings, "run": whole}, tmp_path / "whole")
    second = run({**settings, "run": halves}, tmp_path / "halves")
    assert losses(first) == pytest.approx(losses(second), rel=1e-4)


def test_cached_clips_come_up_backwards_in_their_second_turn(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["run"] |= {"steps": 4, "batch": 1}
    settings["data"] |= {"cache": str(tmp_path / "latents"), "cache_clips": 2}
    forwards = losses(run(settings, tmp_path / "forwards"))
    settings["data"]["cache_backwards"] = True
    both = losses(run(settings, tmp_path / "both"))
    assert both[:2] == forwards[:2] and both[2] != forwards[2]


def test_a_run_stopped_within_a_round_ends_bit_equal(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["run"] |= {"steps": 11, "save_every": 1, "batch": 2}
    settings["data"] |= {"rounds": 3, "pool": 2}
    alone = run(settings, tmp_path / "alone")
    stopped = tmp_path / "stopped"
    # Within the first round, between two rounds, in the second pool.
    for steps in (1, 4, 7, 11):
        settings["run"]["steps"] = steps
        run(settings, stopped, resume=True)
    assert_same_end(alone, stopped)


def test_a_pool_is_gone_over_in_rounds_each_with_other_noise(settings: dict[str, Any]) -> None:
    settings["run"] |= {"batch": 2}
    settings["data"] |= {"rounds": 3, "pool": 2}
    training = _NetworkTraining(parse_config(settings), lambda line: None)
    batches = list(itertools.islice(training.micro_batches(0), 8))
    seeds = [seed for draws, _ in batches for seed in draws.noise_seeds.tolist()]
    assert len(set(seeds)) == 16
    seen = [[clip.latents.flatten()[0].item() for clip in clips] for _, clips in batches]
    rounds = [seen[0] + seen[1], seen[2] + seen[3], seen[4] + seen[5]]
    assert len(set(rounds[0])) == 4
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(rounds[2]) and rounds[1] != rounds[2]
    assert not set(rounds[0]) & set(seen[6] + seen[7])


def test_a_step_is_recorded_on_a_gpu_only(settings: dict[str, Any]) -> None:
    settings["run"] |= {"graphs": True}
    with pytest.raises(ValueError, match=r"got run.graphs = true on cpu, expected a CUDA GPU"):
        _NetworkTraining(parse_config(settings), lambda line: None)


def test_single_pictures_train_what_clips_begin_with(settings: dict[str, Any], tmp_path: Path) -> None:
    """What looks along time stays nothing while pictures are learnt, and begins to move with clips."""
    data = dict(settings["data"])
    settings["run"] |= {"steps": 4, "save_every": 4, "export_dtype": "fp32"}
    settings["data"] = {**data, "frames": 1, "global_count": 0}
    pictures = run(settings, tmp_path / "pictures") / WEIGHTS
    network = build_unet(read_checkpoint(pictures), dtype=torch.float32).eval()
    x = torch.randn(1, 9, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    given = torch.tensor([10]), network.encode_global(torch.zeros(1, 1, 4, 6, 6)), torch.tensor([24])
    still = x[:, :, :1].expand(-1, -1, 3, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(network(still, *given)[:, :, :1], network(x[:, :, :1], *given), atol=1e-5, rtol=1e-4)
    settings["data"] = data
    settings["network"] |= {"start": "image", "weights": str(pictures)}
    config = parse_config(settings)
    begin = initial_network(config).state_dict()
    learnt = load_file(pictures)
    spatial = [name for name in learnt if name.endswith(("spatial_conv.weight", "proj_in.weight"))]
    assert spatial and all(torch.equal(begin[name], learnt[name]) for name in spatial)
    moved = load_file(run(settings, tmp_path / "clips") / WEIGHTS)
    assert any("proj_out2" in name and tensor.any() for name, tensor in moved.items())
    assert not any("proj_out2" in name and tensor.any() for name, tensor in learnt.items())


def test_how_long_data_takes_is_told(settings: dict[str, Any]) -> None:
    settings["run"] |= {"steps": 2, "log_every": 2}
    lines: list[str] = []
    train(parse_config(settings), log=lines.append)
    assert any(re.search(r"s a step, \d+\.\d\d s \(\d+%\) of it for data", line) for line in lines)


def test_recomputed_activations_change_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["run"] |= {"steps": 2, "save_every": 2}
    plain = run(settings, tmp_path / "plain")
    settings["network"]["gradient_checkpointing"] = True
    again = run(settings, tmp_path / "again")
    assert losses(plain) == pytest.approx(losses(again), rel=1e-5)


def test_a_run_leaves_curves_samples_and_weights_of_the_average(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["run"] |= {"steps": 2, "save_every": 1, "keep": 1, "sample_every": 2}
    settings["objective"] = {"prediction": "v_prediction"}
    settings["use"] = {"steps": 3, "sampler": "euler"}
    folder = run(settings)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000002"]
    checkpoint = read_checkpoint(folder / WEIGHTS)
    assert checkpoint.prediction_type == "v_prediction" and checkpoint.dtype == torch.float16
    assert checkpoint.metadata["training_steps"] == "2" and checkpoint.config.block_out_channels == (8, 8)
    advice = read_advice(checkpoint.metadata)
    assert (advice.sampling.steps, advice.sampling.sampler, advice.canvas_size) == (3, "euler", 16)
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [
        "step-00000002-0.mp4",
        "step-00000002-1.mp4",
    ]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert {"loss", "grad_norm", "lr"} <= set(events.Tags()["scalars"])
    assert set(events.Tags()["images"]) == {"clip 0", "clip 1"}


def test_an_output_folder_in_use_and_a_changed_configuration_are_named(settings: dict[str, Any]) -> None:
    settings["run"] |= {"steps": 2, "save_every": 1}
    run(settings)
    with pytest.raises(ValueError, match=r"holds a run up to step 2(?s:.*)--resume"):
        run(settings)
    changed = {**settings, "optimizer": {**settings["optimizer"], "lr": 0.5, "beta1": 0.5}}
    with pytest.raises(ValueError, match=r"resumed:\n  optimizer\.beta1: 0\.9 when it was saved, 0\.5 now$"):
        run(changed, resume=True)
    longer = {**settings, "run": {**settings["run"], "steps": 3}, "optimizer": {"lr": 1e-4, "warmup": 4}}
    assert len(losses(run(longer, resume=True))) == 3


def test_a_full_disk_leaves_the_last_checkpoint(settings: dict[str, Any], tmp_path: Path) -> None:
    """A limit on the size of files, under which writing fails half way as it does on a full disk."""
    resource = pytest.importorskip("resource")
    alone = run(settings, tmp_path / "alone")
    settings["run"]["steps"] = 2
    folder = run(settings)
    settings["run"]["steps"] = 6
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(SaveError, match=r"checkpoint of step 4; .*step-00000002 is whole"):
            run(settings, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000002"]
    run(settings, resume=True)
    assert_same_end(alone, folder)


def test_a_checkpoint_half_written_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.latest() is None
    folder.save(5, {"step": 5}, lambda path: (path / "a").write_text("x"), keep=2)

    def fail(path: Path) -> None:
        (path / "a").write_text("half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    with pytest.raises(SaveError, match=r"failed writing file while saving the checkpoint of step 10; .*step-00000005"):
        folder.save(10, {"step": 10}, fail, keep=2)
    assert folder.latest() == (5, tmp_path / "checkpoints" / "step-00000005")
    for step in (10, 15):
        folder.save(step, {"step": step}, lambda path: None, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000010", "step-00000015"]
    assert folder.read_about(folder.latest()[1]) == {"step": 15}


def test_losses_after_the_checkpoint_and_half_lines_are_forgotten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_losses([(1, 0.1, 1.0, 1e-4), (2, 1 / 3, 1.0, 1e-4), (3, 0.3, 1.0, 1e-4)])
    with folder.losses.open("a") as file:
        file.write("4,0.12")
    folder.forget_losses_after(2)
    assert folder.losses.read_text() == HEADER + "1,0.1,1.0,0.0001\n2,0.3333333333333333,1.0,0.0001\n"


def test_a_loss_that_is_no_number_stops_the_run(settings: dict[str, Any]) -> None:
    settings["run"] |= {"steps": 40, "save_every": 40, "log_every": 5}
    settings["optimizer"] |= {"lr": 1.0, "clip": 0.0, "warmup": 0, "beta2": 0.0, "weight_decay": 10.0, "beta1": 0.0}
    with pytest.raises(NonFiniteLoss, match=r"got a loss of (nan|inf) in step \d+"):
        run(settings)
    assert RunFolder(Path(settings["run"]["output"])).latest() is None


def test_time_is_up_with_a_checkpoint(settings: dict[str, Any]) -> None:
    folder = run(settings, minutes=1e-6)
    assert RunFolder(folder).latest()[0] == 1


def test_rates_warm_up_and_come_down(settings: dict[str, Any]) -> None:
    constant = parse_config(settings).optimizer
    assert [learning_rate(constant, step, 100) for step in (1, 2, 4, 50)] == pytest.approx([2.5e-4, 5e-4, 1e-3, 1e-3])
    settings["optimizer"]["schedule"] = "cosine"
    cosine = parse_config(settings).optimizer
    assert [learning_rate(cosine, step, 100) for step in (4, 52, 100)] == pytest.approx([1e-3, 5e-4, 0.0], abs=1e-9)
