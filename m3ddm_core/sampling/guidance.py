"""Guidance over two conditions: the masked video of the clip itself, and the global frames of the whole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from torch import Tensor

TOLERANCE = 1e-4
"""Relative: noise levels closer than this are one. Those of neighbouring training timesteps lie 40 times further
apart; what samplers compute from logarithms in float32 comes out a little beside the level that is meant."""


class Branch(Enum):
    """One evaluation of the network, named after what it is shown; in the order in which they are evaluated."""

    FULL = "masked video and global frames"
    MASKED_VIDEO = "masked video"
    UNCONDITIONAL = "nothing"


def branch_weights(context_scale: float, global_scale: float) -> dict[Branch, float]:
    """Weights, adding up to one, of ``e(0,0) + s1 (e(c,0) - e(0,0)) + s2 (e(c,g) - e(c,0))``.

    The formula of the published sampler (arXiv 2309.02119, eq. 4), here for any pair of scales. A branch of weight
    zero need not be evaluated.
    """
    return {
        Branch.FULL: global_scale,
        Branch.MASKED_VIDEO: context_scale - global_scale,
        Branch.UNCONDITIONAL: 1.0 - context_scale,
    }


def combine(predictions: Mapping[Branch, Tensor], weights: Mapping[Branch, float]) -> Tensor:
    """Weighted sum of predictions of one shape: of noise, or of clean latents, since the weights add up to one."""
    return sum(weights[branch] * prediction for branch, prediction in predictions.items() if weights[branch] != 0)


@dataclass(frozen=True)
class Guidance:
    """How strongly the network's answers are guided, and in which steps; by default as in the published code.

    ``start`` and ``end``: what part of sampling is guided, 0 at its noisiest and 1 at its clean end, in shares of the
    training timesteps as ComfyUI's ``start_percent`` and ``end_percent`` (guidance in an interval: arXiv 2404.07724).
    ``unconditional_every``: the unconditional branch is evaluated in every so many steps, see `GuidanceRun`.

    Raises ``ValueError`` unless 0 <= start <= end <= 1, and for ``unconditional_every`` below 1.
    """

    context_scale: float = 2.0
    global_scale: float = 4.0
    start: float = 0.0
    end: float = 1.0
    unconditional_every: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"got guidance from {self.start} to {self.end}, expected 0 <= start <= end <= 1")
        if self.unconditional_every < 1:
            raise ValueError(f"got unconditional_every={self.unconditional_every}, expected 1 (every step) or more")

    def weights(self, *, inside: bool) -> dict[Branch, float]:
        """Weights of the branches inside the interval, or outside, where a scale above one counts as one.

        Outside, with the published scales, only e(c,g) has weight. A condition with a scale of zero stays off.
        """
        if inside:
            return branch_weights(self.context_scale, self.global_scale)
        return branch_weights(min(self.context_scale, 1.0), min(self.global_scale, 1.0))


class Held(NamedTuple):
    """What is kept of a step in which the unconditional branch was evaluated."""

    step: int
    anchor: Branch
    difference: Tensor


Evaluate = Callable[[tuple[Branch, ...]], Mapping[Branch, Tensor]]
"""``evaluate(branches)`` runs the network; the answer may hold other branches besides those asked for."""


class GuidanceRun:
    """Guidance in one run of a sampler over one batch of clips. A new run takes a new one: it remembers.

    ``levels`` are the noise levels (sigma: noise over signal) that the sampler steps through, ``edges`` those at
    which guidance starts and ends. A step goes from one of the levels to just above the next, so that a sampler that
    evaluates twice at a level, or between two levels, does so within one step.

    In the steps in which e(0,0) is not evaluated, it is estimated:

        e(0,0) = e(c,0) now - u(now) (e(c,0) - e(0,0) then) / u(then)

    with e(c,g) in the place of e(c,0) where that is not evaluated. The difference of the two answers is held, not the
    answer itself: what both have in common changes from step to step much more than their difference, and guidance
    would multiply that change. The unit ``u`` is how such a difference grows with noise where the latents
    are Gaussian, of variance one, and the condition moves their mean (for these the estimate is exact): sigma**2 / (1
    + sigma**2) for clean latents, sigma / (1 + sigma**2) for the noise. An answer held as it was would be too strong
    in the last steps, one held as noise too weak in the first.
    """

    def __init__(self, guidance: Guidance, levels: Iterable[float], edges: tuple[float, float]):
        self._guidance = guidance
        self._levels = sorted(set(levels))
        self._edges = edges
        self._held: Held | None = None

    def weights(self, level: float) -> dict[Branch, float]:
        """Weights of the branches at a noise level."""
        start, end = self._edges
        return self._guidance.weights(inside=end * (1 - TOLERANCE) <= level <= start * (1 + TOLERANCE))

    def predict(
        self, level: float, evaluate: Evaluate, *, unit: float, also: Collection[Branch] = ()
    ) -> Mapping[Branch, Tensor]:
        """Return the predictions of all branches of weight, and of those wanted ``also``, at a noise level.

        ``evaluate`` is called once, with the branches that are needed. ``unit`` is u(now), see above.
        """
        weights = self.weights(level)
        needed = tuple(branch for branch in Branch if weights[branch] != 0 or branch in also)
        conditional = tuple(branch for branch in needed if branch is not Branch.UNCONDITIONAL)
        if self._guidance.unconditional_every == 1 or conditional in (needed, ()):
            return evaluate(needed)
        step = self._step(level)
        held = self._held
        if held and held.anchor in conditional and 0 < step - held.step < self._guidance.unconditional_every:
            predictions = evaluate(conditional)
            estimate = predictions[held.anchor] - unit * held.difference
            return {**predictions, Branch.UNCONDITIONAL: estimate}
        predictions = evaluate(needed)
        anchor = conditional[-1]
        self._held = Held(step, anchor, (predictions[anchor] - predictions[Branch.UNCONDITIONAL]) / unit)
        return predictions

    def _step(self, level: float) -> int:
        """Number of the step that a level belongs to, counted from 0; -1 above the first."""
        return len(self._levels) - bisect_left(self._levels, level * (1 - TOLERANCE)) - 1
