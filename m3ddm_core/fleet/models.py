"""A fleet as the pipeline calls it: networks that run elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from torch import Tensor

from ..journal.clips import recipe, vae_recipe
from ..models import Models
from ..sampling.advice import read_advice
from ..sampling.settings import SamplingSettings
from ..sampling.solvers import make_sampler
from ..sampling.wave import Batch, WaveSampler
from .fleet import Fleet
from .hand import Order
from .packets import DECODE, ENCODE, SAMPLE, pack, pack_batch, unpack


@dataclass(frozen=True)
class FleetSampler(WaveSampler):
    """Samples the batches of a wave on all workers that are free. ``left``: how much is left of the video."""

    fleet: Fleet
    settings: SamplingSettings
    seed: int
    left: Callable[[], float] = field(default=lambda: 0.0)

    def towards(self, left: Callable[[], float]) -> FleetSampler:
        """As `WaveSampler` has it."""
        return FleetSampler(self.fleet, self.settings, self.seed, left)

    def sample_wave(self, batches: Iterable[Batch]) -> Iterator[tuple[int, Tensor]]:
        """As `WaveSampler` has it. Raises `FleetError`."""
        callbacks, made_alike = {}, {"settings": self.settings.flat(), "seed": self.seed}

        def orders() -> Iterator[Order]:
            for number, batch in enumerate(batches):
                callbacks[number] = batch.callback
                yield Order(SAMPLE, pack_batch(batch), made_alike)

        for news in self.fleet.ask(orders(), self.left()):
            if news.step is not None:
                step, steps, denoised = news.step
                callbacks[news.number](step, steps, unpack(denoised)["denoised"])
            else:
                del callbacks[news.number]
                yield news.number, unpack(news.result)["result"]


def fleet_models(fleet: Fleet) -> Models:
    """The two networks as the fleet's workers hold them. Seen pixels, canvases and finished frames are made here.

    Its recipes are those of the same network on one machine, so that a journal serves both.
    """
    identity = fleet.identity

    def sampler(settings: SamplingSettings, seed: int) -> FleetSampler:
        # Raises here for settings that cannot be, before anything is encoded.
        make_sampler(settings.sampler, settings.scheduler, steps=settings.steps, denoise=settings.denoise)
        return FleetSampler(fleet, settings, seed)

    def through_vae(what: str, left: float) -> Callable[[Tensor], Tensor]:
        return lambda given: unpack(fleet.one(Order(what, pack(input=given)), left))["result"].to(given.device)

    def made_by(settings: SamplingSettings, seed: int) -> str:
        device = "+".join(sorted(fleet.devices))
        return recipe(settings, seed, identity["network"], (device, identity["dtype"]))

    def vae_made_by() -> str:
        return vae_recipe(identity["vae"], "+".join(sorted(fleet.devices)))

    return Models(
        # What is decoded finishes a video; what is encoded begins one.
        encode=through_vae(ENCODE, inf),
        decode=through_vae(DECODE, 0.0),
        sampler=sampler,
        clips_at_once=lambda settings, height, width: settings.clips_per_batch or 1,
        advice=read_advice(identity["advice"]),
        recipe=made_by,
        scenes_at_once=fleet.at_once,
        vae_recipe=vae_made_by,
    )
