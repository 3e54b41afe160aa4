"""The fleet on a real Ray, started and stopped here: the same bits, also where a worker is killed; and bad input."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest
import torch

from m3ddm_core.__main__ import main
from m3ddm_core.canvas.framing import Framing
from m3ddm_core.checkpoint import save_checkpoint
from m3ddm_core.fleet import on_ray
from m3ddm_core.fleet.actor import Weights
from m3ddm_core.fleet.fleet import Fleet
from m3ddm_core.fleet.hand import FleetError, Lost
from m3ddm_core.fleet.models import fleet_models
from m3ddm_core.fleet.on_ray import Where, ray_fleet
from m3ddm_core.pipeline import load_models, load_network, load_vae, outpaint_frames
from m3ddm_core.sampling.settings import SamplingSettings
from tests.helpers.checkpoint_files import TINY

VAE = Path(__file__).resolve().parents[3] / "models" / "m3ddm_demo_vae.safetensors"
FRAMES = 50
STORE_BYTES = 100 * 2**20


def weights_of(folder, tiny) -> Weights:
    save_checkpoint(folder / "tiny.safetensors", tiny, TINY)
    return Weights(str(folder / "tiny.safetensors"), str(VAE), "cpu")


def outpainted(models, on_progress=None):
    """A video of three levels, a few columns wider."""
    frames = torch.rand((FRAMES, 48, 32, 3), generator=torch.Generator().manual_seed(0))
    placement = Framing(ratio="1:1", canvas_size=32).for_canvas(32).place((32, 48))
    settings = SamplingSettings(steps=1, sampler="euler")
    return outpaint_frames(frames, models, placement, 25.0, settings=settings, seed=3, on_progress=on_progress)


@pytest.mark.slow
def test_two_workers_make_the_same_bits_also_where_one_is_killed(tmp_path, tiny, monkeypatch, caplog):
    """One Ray for all of it: it takes longer to start than anything here."""
    monkeypatch.setattr(on_ray, "STORE_BYTES", STORE_BYTES)
    # Ray gives up on its own processes after some seconds, which a busy machine takes to start them.
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "100000")
    weights = weights_of(tmp_path, tiny)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = outpainted(load_models(load_network(weights.network), load_vae(weights.vae)))
    finally:
        torch.set_num_threads(threads)

    with ray_fleet(Where("local", workers=2), weights) as fleet:
        models = fleet_models(fleet)
        assert torch.equal(outpainted(models), expected)

        killed = []

        def kill(progress):
            if not killed:
                killed.append(process_of(fleet.hands[0]))
                os.kill(killed[0], signal.SIGKILL)

        assert torch.equal(outpainted(models, kill), expected)
        assert killed

        refused(weights)
    with pytest.raises(FleetError, match="the fleet was closed"):
        models.encode(torch.zeros(1, 16, 16, 3))


def process_of(hand) -> int:
    import ray

    return ray.get(hand.actor.process.remote())


def refused(weights) -> None:
    """A worker that is asked to have other weights than it finds, over the Ray that runs."""
    other = Weights(weights.network, weights.vae, "cpu")
    other.__dict__["digests"] = {**weights.digests, "network": "0" * 64}
    hand = on_ray.ActorHand("other", other, 0.0, 1)
    with pytest.raises(FleetError, match=r"other: it is not used: got another network \(.*expected that of the one"):
        with Fleet([hand]):
            pass


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


@pytest.mark.parametrize("given", [{"workers": -1}, {"gpus": 0.0}, {"gpus": 1.5}, {"threads": 0}])
def test_workers_that_cannot_be_are_refused(given):
    with pytest.raises(FleetError, match="expected 0 or more, a share above 0 and up to 1, and 1 or more"):
        Where(**given)


def test_what_ray_raises_is_said_in_one_line():
    from ray import exceptions

    from m3ddm_core.fleet.actor import _told

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
