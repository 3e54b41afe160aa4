"""Nodes that sample through a fleet: its samplers, progress and stopping, and what may not go along."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
import torch


@pytest.fixture
def where(pack: Any) -> Any:
    """What M3DDM Fleet gives."""
    (where,) = pack.run("M3DDM_Fleet", address=" auto ", workers=2, gpus=0.5)
    assert (where.address, where.workers, where.gpus) == ("auto", 2, 0.5)
    return where


@pytest.fixture
def fleet(pack: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fleet of two workers in this process in place of Ray's; tells which weights were asked for."""
    host = pack.module("nodes.host.fleet")
    fleets, packets = pack.module("m3ddm_core.fleet.fleet"), pack.module("m3ddm_core.fleet.packets")
    library = pack.module("m3ddm_core.models")
    settings = pack.module("m3ddm_core.sampling.settings").SamplingSettings()
    asked = []

    class Inside:
        def __init__(self, name: str, weights: Any):
            self.name, self.weights, self.ran = name, weights, 0

        def start(self) -> dict:
            self.network = library.load_network(self.weights.network)
            advice = self.network.advice.metadata()
            return {"device": "cpu", "network": "n", "dtype": "torch.float32", "advice": advice}

        def run(self, order: Any, on_step: Any, on_ask: Any) -> bytes:
            self.ran += 1
            no_vae = type("NoVAE", (), {"encode": None, "decode": None})
            models = library.load_models(self.network, no_vae)
            sample = models.sampler(settings.changed(order.how["settings"]), order.how["seed"])

            def heard(step: int, steps: int, denoised: torch.Tensor) -> None:
                on_step(step, steps, packets.pack(denoised=denoised))

            return packets.pack(result=sample(*packets.unpack_batch(order.packed), heard))

        def end(self) -> None:
            pass

    @contextmanager
    def inside(where: Any, weights: Any) -> Any:
        hands = [Inside("a", weights), Inside("b", weights)]
        asked.append((where, weights, hands))
        with fleets.Fleet(hands) as fleet:
            yield fleet

    monkeypatch.setattr(host, "ray_fleet", inside)
    return asked


def test_a_level_is_sampled_by_the_fleet(pack: Any, model: Any, where: Any, fleet: Any) -> None:
    settings, state = pack.settings(steps=2), pack.noise_state(20)
    asked = {"model": model, "state": state, "seed": 3, "settings": settings}
    here = pack.run("M3DDM_SampleInfill", **asked)[0]
    there = pack.run("M3DDM_SampleInfill", **asked, fleet=where)[0]
    ((given, weights, hands),) = fleet
    assert given is where and weights.vae == "" and weights.dtype == "fp32"
    assert sum(hand.ran for hand in hands) == 2
    assert there.known == here.known
    assert (there.latents - here.latents).abs().max() < 1e-3, "ComfyUI's sampler against the library's"


def test_what_a_graph_adds_to_a_model_does_not_go_along(pack: Any, model: Any, where: Any, fleet: Any) -> None:
    (tiled,) = pack.run("M3DDM_TiledModel", model=model, tile_size=256, overlap=64)
    with pytest.raises(ValueError, match=r"got a MODEL with .*wrappers.* beside a fleet, expected one straight from"):
        pack.run("M3DDM_SampleInfill", model=tiled, state=pack.noise_state(4), seed=3, fleet=where)
    assert fleet == []
