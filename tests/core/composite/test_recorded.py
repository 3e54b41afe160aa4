"""Every way of compositing gives what it gave when these numbers were written down: no change of structure shows."""

from __future__ import annotations

import itertools

import pytest
import torch

from m3ddm_core.canvas.placement import place
from m3ddm_core.composite.blend import BLENDS
from m3ddm_core.composite.colour_match import COLOUR_MATCHES
from m3ddm_core.composite.compositor import composite

FRAMES = 5
BORDERED = place((51, 40), pixels=(13, 7, 0, 21), size_multiple=1, canvas_size=48)
FULL = place((64, 36), ratio="16:9", canvas_size=32)

WAYS = [
    *itertools.product(["bordered"], COLOUR_MATCHES, BLENDS, [False, True]),
    *itertools.product(["full"], COLOUR_MATCHES, BLENDS, [True]),
]
RECORDED = [
    16363.7938,
    16352.2453,
    16671.3277,
    16657.5080,
    16415.0112,
    16364.9033,
    16416.9814,
    16411.9819,
    16439.3976,
    16380.4935,
    16448.9351,
    16438.2812,
    8602.6932,
    8609.8338,
    8613.2793,
    8616.2547,
    8619.4450,
    8616.2547,
]
"""For each way a sum over all pixels, each with a weight of its own."""


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def measure(name: str, colour_match: str, blend: str, masked: bool) -> float:
    """Composite noise, in one of the ways, into one number."""
    placement = {"bordered": BORDERED, "full": FULL}[name]
    width, height = placement.source
    mask = torch.zeros(FRAMES, height, width)
    for number in range(FRAMES - 1):
        mask[number, 10:20, 8 + 4 * number : 20 + 4 * number] = 1
    result = composite(
        noise(FRAMES, height, width, 3, seed=2),
        noise(FRAMES, placement.canvas[1], placement.canvas[0], 3, seed=5),
        placement,
        feather=3,
        colour_match=colour_match,
        blend=blend,
        source_mask=mask if masked else None,
    )
    return (result.double() * noise(*result.shape, seed=7)).sum().item()


@pytest.mark.parametrize(("way", "recorded"), zip(WAYS, RECORDED, strict=True))
def test_the_frames_are_those_that_were_recorded(way: tuple[str, str, str, bool], recorded: float) -> None:
    # Pixels may differ in their last bits from machine to machine.
    assert measure(*way) == pytest.approx(recorded, rel=1e-7)
