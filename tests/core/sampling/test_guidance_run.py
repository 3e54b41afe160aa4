"""What presets and reuse do to a result that is known: Gaussian latents, about which each branch knows more or less.

A model of one number a latent, not of pictures: it shows how samplers, guidance and reuse get on with one another.
"""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.sampling.guidance import Branch, Guidance, GuidanceRun, combine
from m3ddm_core.sampling.schedule import noise_level
from m3ddm_core.sampling.settings import PRESETS
from m3ddm_core.sampling.solvers import make_sampler

DOUBTS = [(0.7, 0.5), (0.5, 0.3), (0.9, 0.7), (0.6, 0.2)]
"""Standard deviation of what is unknown to a branch that sees the context, and to one that sees all."""


class Latents:
    """Latents of variance one, and what the three branches know of them."""

    def __init__(self, context_doubt, full_doubt):
        truth, *draws, self.noise = torch.randn(5, 3000, generator=torch.Generator().manual_seed(1))
        self.known = {Branch.UNCONDITIONAL: (torch.zeros_like(truth), 1.0)}
        for branch, doubt, draw in zip(
            (Branch.MASKED_VIDEO, Branch.FULL), (context_doubt, full_doubt), draws, strict=False
        ):
            share = 1 - doubt**2
            self.known[branch] = (share * truth + doubt * share**0.5 * draw, doubt)
        self.start = self.known[Branch.MASKED_VIDEO][0] + 0.3 * draws[2]

    def answer(self, x, level, branch):
        """Clean latents to be expected of ``x``, whose variance grows with noise."""
        mean, doubt = self.known[branch]
        return (doubt**2 * x + level**2 * mean) / (doubt**2 + level**2)

    def sample(self, sampler, answers):
        """Run a sampler over ``answers(x, level)``, the guided clean latents."""

        def predict_noise(x, level):
            x = x * (1 + level**2) ** 0.5
            return (x - answers(x, level)) / level

        return sampler.run(predict_noise, self.start, self.noise, lambda *step: None)

    def guided(self, settings):
        guidance = settings.guidance
        sampler = make_sampler(settings.sampler, settings.scheduler, steps=settings.steps)
        edges = tuple(noise_level(999 * (1 - share)) for share in (guidance.start, guidance.end))
        run = GuidanceRun(guidance, sampler.levels, edges)

        def answers(x, level):
            predictions = run.predict(
                level, lambda branches: {b: self.answer(x, level, b) for b in branches}, unit=level**2 / (1 + level**2)
            )
            return combine(predictions, run.weights(level))

        return self.sample(sampler, answers)

    def reusing(self, settings, between):
        """As ``guided``, with ``between(level, x, found, held)`` for e(0,0) in every second step."""
        sampler = make_sampler(settings.sampler, settings.scheduler, steps=settings.steps)
        weights = Guidance().weights(inside=True)
        held, steps = {}, iter(range(settings.steps))

        def answers(x, level):
            found = {branch: self.answer(x, level, branch) for branch in Branch}
            if next(steps) % 2:
                found[Branch.UNCONDITIONAL] = between(level, x, found, held)
            else:
                held.update(found, level=level, x=x)
            return combine(found, weights)

        return self.sample(sampler, answers)


def distance(one, other):
    return (one - other).pow(2).mean().sqrt().item()


@pytest.mark.parametrize("doubts", DOUBTS)
@pytest.mark.parametrize(("name", "tolerance"), [("balanced", 0.03), ("fast", 0.08)])
def test_presets_end_near_the_reference(doubts, name, tolerance):
    latents = Latents(*doubts)
    assert distance(latents.guided(PRESETS[name]), latents.guided(PRESETS["reference"])) < tolerance


WAYS = {
    "the answer": lambda level, x, found, held: held[Branch.UNCONDITIONAL],
    "its noise": lambda level, x, found, held: x - level / held["level"] * (held["x"] - held[Branch.UNCONDITIONAL]),
    "nothing": lambda level, x, found, held: found[Branch.MASKED_VIDEO],
}


@pytest.mark.parametrize("doubts", DOUBTS)
@pytest.mark.parametrize("way", WAYS)
def test_the_difference_is_the_thing_to_hold(doubts, way):
    """Against holding e(0,0) as clean latents or as noise, or going without it."""
    latents, settings = Latents(*doubts), PRESETS["balanced"]
    asked = latents.reusing(settings, lambda level, x, found, held: found[Branch.UNCONDITIONAL])
    ours = distance(latents.guided(settings), asked)
    assert ours < 0.7 * distance(latents.reusing(settings, WAYS[way]), asked)
