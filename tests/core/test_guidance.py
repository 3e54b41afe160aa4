"""The guidance formula, and which evaluations it can do without."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.guidance import Branch, branch_weights, combine, needed_branches


@pytest.mark.parametrize(("s1", "s2"), [(2.0, 4.0), (3.5, 1.5), (1.0, 1.0), (0.0, 0.0), (0.5, 7.0)])
def test_combination_is_the_published_formula(s1, s2):
    nothing, context, full = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    expected = nothing + s1 * (context - nothing) + s2 * (full - context)
    predictions = {Branch.FULL: full, Branch.CONTEXT: context, Branch.UNCONDITIONAL: nothing}
    torch.testing.assert_close(combine(predictions, branch_weights(s1, s2)), expected)


@pytest.mark.parametrize(
    ("s1", "s2", "needed"),
    [
        (2.0, 4.0, (Branch.FULL, Branch.CONTEXT, Branch.UNCONDITIONAL)),
        (1.0, 4.0, (Branch.FULL, Branch.CONTEXT)),
        (4.0, 4.0, (Branch.FULL, Branch.UNCONDITIONAL)),
        (2.0, 0.0, (Branch.CONTEXT, Branch.UNCONDITIONAL)),
        (1.0, 1.0, (Branch.FULL,)),
        (1.0, 0.0, (Branch.CONTEXT,)),
        (0.0, 0.0, (Branch.UNCONDITIONAL,)),
    ],
)
def test_branches_of_weight_zero_are_not_needed(s1, s2, needed):
    weights = branch_weights(s1, s2)
    assert needed_branches(weights) == needed
    assert sum(weights.values()) == pytest.approx(1)


def test_a_branch_that_was_not_evaluated_may_hold_anything():
    weights = branch_weights(1.0, 4.0)
    predictions = {branch: torch.ones(2) for branch in Branch}
    predictions[Branch.UNCONDITIONAL] = torch.full((2,), float("nan"))
    assert torch.equal(combine(predictions, weights), torch.ones(2))
