"""The guidance formula, and which evaluations it can do without."""

from __future__ import annotations

import typing

import pytest
import torch

from m3ddm_core.sampling.guidance import Branch, Guidance, GuidanceRun, branch_weights, combine

LEVELS = (14.6, 5.0, 2.0, 1.0, 0.5, 0.1)
FULL, CONTEXT, NOTHING = Branch


def weighty(weights):
    """The branches of any weight, in the order of their evaluation."""
    return tuple(branch for branch in Branch if weights[branch] != 0)


@pytest.mark.parametrize(("s1", "s2"), [(2.0, 4.0), (3.5, 1.5), (1.0, 1.0), (0.0, 0.0), (0.5, 7.0)])
def test_combination_is_the_published_formula(s1, s2):
    nothing, context, full = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    expected = nothing + s1 * (context - nothing) + s2 * (full - context)
    predictions = {Branch.FULL: full, Branch.MASKED_VIDEO: context, Branch.UNCONDITIONAL: nothing}
    torch.testing.assert_close(combine(predictions, branch_weights(s1, s2)), expected)


@pytest.mark.parametrize(
    ("s1", "s2", "needed"),
    [
        (2.0, 4.0, (Branch.FULL, Branch.MASKED_VIDEO, Branch.UNCONDITIONAL)),
        (1.0, 4.0, (Branch.FULL, Branch.MASKED_VIDEO)),
        (4.0, 4.0, (Branch.FULL, Branch.UNCONDITIONAL)),
        (2.0, 0.0, (Branch.MASKED_VIDEO, Branch.UNCONDITIONAL)),
        (1.0, 1.0, (Branch.FULL,)),
        (1.0, 0.0, (Branch.MASKED_VIDEO,)),
        (0.0, 0.0, (Branch.UNCONDITIONAL,)),
    ],
)
def test_branches_of_weight_zero_are_not_needed(s1, s2, needed):
    weights = branch_weights(s1, s2)
    assert weighty(weights) == needed
    assert sum(weights.values()) == pytest.approx(1)


def test_a_branch_that_was_not_evaluated_may_hold_anything():
    weights = branch_weights(1.0, 4.0)
    predictions = {branch: torch.ones(2) for branch in Branch}
    predictions[Branch.UNCONDITIONAL] = torch.full((2,), float("nan"))
    assert torch.equal(combine(predictions, weights), torch.ones(2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": 0.6, "end": 0.5}, "got guidance from 0.6 to 0.5"),
        ({"start": -0.1}, "got guidance from -0.1"),
        ({"end": 1.1}, "to 1.1"),
        ({"end": float("nan")}, "to nan"),
        ({"unconditional_every": 0}, "got unconditional_every=0"),
    ],
)
def test_impossible_guidance_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Guidance(**values)


@pytest.mark.parametrize(
    ("s1", "s2", "outside"),
    [(2.0, 4.0, (FULL,)), (1.0, 1.0, (FULL,)), (2.0, 0.0, (CONTEXT,)), (0.0, 0.0, (NOTHING,))],
)
def test_outside_the_interval_one_branch_is_left(s1, s2, outside):
    run = GuidanceRun(Guidance(s1, s2), LEVELS, edges=(5.0, 1.0))
    for level in LEVELS:
        guided = 1.0 <= level <= 5.0
        assert weighty(run.weights(level)) == (weighty(branch_weights(s1, s2)) if guided else outside)


def test_levels_a_rounding_error_beside_the_edges_are_guided():
    run = GuidanceRun(Guidance(), LEVELS, edges=(5.0, 1.0))
    for level in (5.0 * (1 + 1e-6), 1.0 * (1 - 1e-6)):
        assert run.weights(level) == branch_weights(2.0, 4.0)


class Gaussian:
    """Answers for Gaussian latents of variance one whose mean is 3, 1 or 0 by what is known of them."""

    MEANS: typing.ClassVar = {FULL: 3.0, CONTEXT: 1.0, NOTHING: 0.0}

    def __init__(self, predicts_noise):
        self.predicts_noise = predicts_noise
        self.asked = []

    def unit(self, level):
        return level / (1 + level**2) if self.predicts_noise else level**2 / (1 + level**2)

    def at(self, level, x):
        """``x`` is of variance one, as the network sees it."""

        def evaluate(branches):
            self.asked.append(branches)
            signal = 1 / (1 + level**2)
            clean = {b: signal**0.5 * x + (1 - signal) * self.MEANS[b] for b in branches}
            noise = {b: (x - signal**0.5 * clean[b]) / (1 - signal) ** 0.5 for b in branches}
            return noise if self.predicts_noise else clean

        return evaluate


def asked_in(run, network, levels, **options):
    """What a run asks the network at each level; checks that e(0,0) comes out right all the same."""
    network.asked.clear()
    for level in levels:
        x = torch.randn(2, 4, generator=torch.Generator().manual_seed(len(network.asked)))
        found = run.predict(level, network.at(level, x), unit=network.unit(level), **options)
        truth = Gaussian(network.predicts_noise).at(level, x)(tuple(Branch))
        assert set(found) == set(weighty(run.weights(level))) | set(options.get("also", ()))
        for branch, prediction in found.items():
            torch.testing.assert_close(prediction, truth[branch], atol=1e-5, rtol=1e-4)
    return list(network.asked)


ALL, CONDITIONAL = (FULL, CONTEXT, NOTHING), (FULL, CONTEXT)


@pytest.mark.parametrize("predicts_noise", [True, False], ids=["noise", "clean"])
@pytest.mark.parametrize(
    ("every", "asked"),
    [(1, [ALL] * 6), (2, [ALL, CONDITIONAL] * 3), (4, [ALL, *[CONDITIONAL] * 3, ALL, CONDITIONAL])],
)
def test_the_answer_to_nothing_is_put_together_in_between(predicts_noise, every, asked):
    run = GuidanceRun(Guidance(unconditional_every=every), LEVELS, edges=(99.0, 0.0))
    assert asked_in(run, Gaussian(predicts_noise), LEVELS) == asked


def test_a_difference_that_the_condition_does_not_make_is_not_reused():
    """What all answers have in common may change from step to step as it likes."""
    run = GuidanceRun(Guidance(unconditional_every=9), LEVELS, edges=(99.0, 0.0))
    for number, level in enumerate(LEVELS):
        found = run.predict(level, lambda branches, n=number: {b: torch.full((2,), 10.0**n) for b in branches}, unit=1)
        torch.testing.assert_close(found[NOTHING], torch.full((2,), 10.0**number))


def test_two_questions_in_a_step_are_one_step():
    """As Heun's method asks (each level twice), and midpoint methods (in between): every second step is whole."""
    network = Gaussian(True)
    heun = [LEVELS[0], *(level for level in LEVELS[1:] for _ in range(2))]
    run = GuidanceRun(Guidance(unconditional_every=2), LEVELS, edges=(99.0, 0.0))
    assert asked_in(run, network, heun) == [ALL, *[CONDITIONAL] * 2, *[ALL] * 2, *[CONDITIONAL] * 2] + (
        [ALL] * 2 + [CONDITIONAL] * 2
    )
    midpoint = [14.6, 9.0, 5.0, 3.0, 2.0, 1.5]
    run = GuidanceRun(Guidance(unconditional_every=2), LEVELS, edges=(99.0, 0.0))
    assert asked_in(run, network, midpoint) == [ALL, ALL, CONDITIONAL, CONDITIONAL, ALL, ALL]


def test_a_level_computed_from_logarithms_belongs_to_its_step():
    run = GuidanceRun(Guidance(unconditional_every=2), LEVELS, edges=(99.0, 0.0))
    beside = [level * factor for level, factor in zip(LEVELS, (1, 1 - 1e-6, 1 + 1e-6) * 2, strict=True)]
    assert asked_in(run, Gaussian(True), beside) == [ALL, CONDITIONAL] * 3


def test_equal_scales_take_the_full_branch_for_an_anchor():
    run = GuidanceRun(Guidance(4.0, 4.0, unconditional_every=2), LEVELS, edges=(99.0, 0.0))
    assert asked_in(run, Gaussian(True), LEVELS) == [(FULL, NOTHING), (FULL,)] * 3


def test_a_branch_that_others_read_is_there_outside_the_interval_too():
    """Samplers of the CFG++ kind read e(0,0) at every level.

    What was held beside one branch is of use only where that one is asked.
    """
    run = GuidanceRun(Guidance(unconditional_every=2), LEVELS, edges=(5.0, 2.0))
    pair = (FULL, NOTHING)
    assert asked_in(run, Gaussian(False), LEVELS, also=pair) == [pair, CONDITIONAL, ALL, pair, (FULL,), pair]


def test_where_nothing_else_is_asked_nothing_is_reused():
    run = GuidanceRun(Guidance(0.0, 0.0, unconditional_every=2), LEVELS, edges=(99.0, 0.0))
    assert asked_in(run, Gaussian(True), LEVELS) == [(NOTHING,)] * 6
