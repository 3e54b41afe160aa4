"""The fleet on a real Ray, started and stopped here: the same bits, also where a worker is killed; and bad input."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from m3ddm_core.__main__ import main
from m3ddm_core.canvas.framing import Framing
from m3ddm_core.fleet import on_ray
from m3ddm_core.fleet.actor import ActorHand, Weights, _told
from m3ddm_core.fleet.fleet import Fleet
from m3ddm_core.fleet.hand import FleetError, Lost
from m3ddm_core.fleet.models import fleet_models
from m3ddm_core.fleet.on_ray import Where, ray_fleet
from m3ddm_core.models import load_models, load_network
from m3ddm_core.pipeline import outpaint_frames
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.vae import load_vae
from tests.helpers.panned_files import write_pan
from tests.helpers.small_globals import SMALL

ROOT = Path(__file__).resolve().parents[3]
VAE = ROOT / "models" / "m3ddm_demo_vae.safetensors"
FRAMES = 50
STORE_BYTES = 100 * 2**20
LOCAL = Where("local", workers=2)


@pytest.fixture
def weights(narrow) -> Weights:
    return Weights(str(narrow), str(VAE), "cpu")


def outpainted(models, on_progress=None):
    """A video of three levels, a few columns wider."""
    frames = torch.rand((FRAMES, 48, 32, 3), generator=torch.Generator().manual_seed(0))
    placement = Framing(ratio="1:1", canvas_size=32).for_canvas(32).place((32, 48))
    settings = SamplingSettings(steps=1, sampler="euler")
    return outpaint_frames(frames, models, placement, 25.0, settings=settings, seed=3, on_progress=on_progress)


def test_a_missing_ray_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FleetError, match="a fleet needs Ray: run `pip install ray`"):
        with ray_fleet(Where(), Weights("a", "b")):
            pass


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("somewhere", r"got the address 'somewhere', expected local, auto or host:port"),
        ("127.0.0.1:{closed}", r"got no answer from 127\.0\.0\.1:\d+ \(.*\), expected a Ray there"),
        ("127.0.0.1:99999", r"got no answer from 127\.0\.0\.1:99999"),
        ("ray://127.0.0.1:10001", r"Ray's client, which hands no results on as they come"),
    ],
)
def test_an_address_that_does_not_answer_is_one_line(address, match, tmp_path, capsys):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = address.format(closed=closed.getsockname()[1])
        given = ["outpaint", str(tmp_path / "in.mp4"), str(tmp_path / "out.mp4"), "--ratio", "1:1", "--ray", address]
        (tmp_path / "in.mp4").write_bytes(b"")
        assert main([*given, "--checkpoint", str(VAE), "--vae", str(VAE)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(match, said), said


@pytest.mark.parametrize(("address", "tries"), [("auto", 1), ("local", 2)])
def test_a_ray_that_does_not_come_up_is_one_line(address, tries, monkeypatch):
    import ray

    asked = []

    def fail(**options):
        asked.append(options)
        raise ConnectionError("Could not find any running Ray instance.\nPlease start one.")

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(FleetError, match=f"got no Ray at {address}, expected one that answers") as found:
        on_ray._connect(Where(address, workers=3, threads=2))
    assert len(asked) == tries and "\n" not in str(found.value)
    assert asked[0].get("num_cpus", 6) >= 6, "room for all workers"


def test_another_ray_than_the_one_that_is_there_is_refused():
    for asked in ("local", "auto", "10.0.0.1:6379"):
        on_ray._require_same(asked, "10.0.0.1:6379")
    with pytest.raises(FleetError, match=r"got the address 10\.0\.0\.2:6379 in a process that is part of the Ray at"):
        on_ray._require_same("10.0.0.2:6379", "10.0.0.1:6379")


@pytest.mark.parametrize("given", [{"workers": -1}, {"gpus": 0.0}, {"gpus": 1.5}, {"threads": 0}])
def test_workers_that_cannot_be_are_refused(given):
    with pytest.raises(FleetError, match="expected 0 or more, a share above 0 and up to 1, and 1 or more"):
        Where(**given)


def test_what_ray_raises_is_said_in_one_line():
    from ray import exceptions

    def raising(error):
        def ask():
            raise error

        return ask

    with pytest.raises(FleetError, match="Ray's object store is full; give it more"):
        _told(raising(exceptions.ObjectStoreFullError("no room for 12 MB\nmore")))
    with pytest.raises(Lost, match="it did not answer for"):
        _told(raising(exceptions.GetTimeoutError("timeout")))
    with pytest.raises(Lost):
        _told(raising(exceptions.ActorDiedError()))
    with pytest.raises(Lost, match="memory"):
        _told(raising(exceptions.OutOfMemoryError("the node is short of memory")))


@pytest.fixture(scope="module")
def started():
    """One Ray for all of these tests: it takes longer to start than anything here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(on_ray, "STORE_BYTES", STORE_BYTES)
        on_ray._connect(LOCAL)
        yield
        import ray

        ray.shutdown()


@pytest.fixture
def one_thread():
    """As a worker computes: with another number of threads sums come out otherwise in their last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def process_of(hand) -> int:
    import ray

    return ray.get(hand.actor.process.remote())


@pytest.mark.slow
def test_two_workers_make_the_same_bits_also_where_one_is_killed(weights, started, one_thread, small_globals):
    expected = outpainted(load_models(load_network(weights.network), load_vae(weights.vae)))
    killed = []

    def kill(progress):
        if not killed:
            killed.append(process_of(fleet.hands[0]))
            os.kill(killed[0], signal.SIGKILL)

    with ray_fleet(LOCAL, weights) as fleet:
        fleet.wait_for_all()
        models = fleet_models(fleet)
        assert torch.equal(outpainted(models, kill), expected)
        assert killed
    with pytest.raises(FleetError, match="the fleet was closed"):
        models.encode(torch.zeros(1, 16, 16, 3))


@pytest.mark.slow
def test_a_full_object_store_loses_nothing(weights, started, one_thread, small_globals):
    import ray

    expected = outpainted(load_models(load_network(weights.network), load_vae(weights.vae)))
    # What is being looked at cannot be put out to disk: from here on every packet finds the store full.
    pinned = [ray.get(ray.put(bytearray(STORE_BYTES // 12))) for _ in range(11)]
    with ray_fleet(LOCAL, weights) as fleet:
        assert torch.equal(outpainted(fleet_models(fleet)), expected)
    assert len(pinned) == 11


# The command line, which stops at the first clip that it has kept: who kills may be held up longer than the rest takes.
HOLDS = f"""
import sys, time
from m3ddm_core.__main__ import main
from m3ddm_core.journal.store import Journal
from m3ddm_core.outpaint import encode

encode.GLOBAL_FRAME_SIZE = {SMALL}
put = Journal.put


def put_and_wait(journal, key, made):
    put(journal, key, made)
    time.sleep(3600)


Journal.put = put_and_wait
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_no_worker_and_is_taken_up(tmp_path, weights, one_thread, small_globals, capsys):
    write_pan(tmp_path / "in.mp4", FRAMES, 48)
    given = ["--checkpoint", weights.network, "--vae", weights.vae, "--ratio", "1:1", "--canvas-size", "32"]
    given += ["--steps", "4", "--device", "cpu", "--seen", "off", "--context-scale", "1", "--global-scale", "1"]
    source, result = str(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    assert main(["outpaint", source, str(tmp_path / "plain.mp4"), *given]) == 0
    command = [sys.executable, "-c", HOLDS, "outpaint", source, str(result), *given]
    driver = subprocess.Popen([*command, "--ray", "local", "--ray-workers", "2"], cwd=ROOT, stderr=subprocess.DEVNULL)

    def under_way():
        assert driver.poll() is None, "it ended by itself"
        # The second worker may still be starting when the first has made a clip.
        return list(tmp_path.glob(".out.mp4.journal/**/*.safetensors")) and len(workers_of(driver.pid)) == 2

    wait_for(under_way)
    workers = workers_of(driver.pid)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    # Ray's own agents notice it after a minute; they hold no weights.
    wait_for(lambda: not any(process.is_running() for process in workers))
    assert not result.exists()
    assert main(["outpaint", source, str(result), *given]) == 0
    assert re.search(r"an earlier run had finished: [1-9]", capsys.readouterr().err)
    assert result.read_bytes() == (tmp_path / "plain.mp4").read_bytes()


def workers_of(driver: int) -> list[psutil.Process]:
    """The processes of a driver's own Ray in which workers are."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "Shell" in " ".join(process.cmdline()):
                found.append(process)
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_worker_with_other_weights_is_not_used(weights, started):
    weights.__dict__["digests"] = {**weights.digests, "network": "0" * 64}
    hand = ActorHand("other", weights, 0.0, 1)
    with pytest.raises(FleetError, match=r"other: it is not used: got another network \(.*expected that of the one"):
        with Fleet([hand]):
            pass


@pytest.mark.slow
def test_a_folder_from_the_command_line(tmp_path, weights, started, one_thread, small_globals, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_pan(tmp_path / "in" / f"{name}.mp4", 18, 48)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    given = ["--checkpoint", weights.network, "--vae", weights.vae, "--ratio", "1:1", "--canvas-size", "32"]
    given += ["--steps", "1", "--device", "cpu"]
    for out, more in (("plain", []), ("fleet", ["--ray", "local", "--ray-workers", "2"])):
        assert main(["outpaint", str(tmp_path / "in"), str(tmp_path / out), *given, *more]) == 1
    assert "2 of 3 videos made, 1 not" in capsys.readouterr().out
    for name in ("a.mp4", "b.mp4"):
        assert (tmp_path / "fleet" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    again = ["outpaint", str(tmp_path / "in"), str(tmp_path / "fleet"), *given, "--resume"]
    assert main(again) == 1
    assert "0 of 3 videos made, 2 by an earlier run, 1 not" in capsys.readouterr().out, "a fleet is no setting"
