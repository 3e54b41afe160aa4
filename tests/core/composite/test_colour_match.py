"""Colours held steady over time: chance is averaged out, and what really changes is followed."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.composite.colour_match import SteadyColours, fit_colours

PIXELS = 64 * 30


def _frames(shift: torch.Tensor, wrong: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels as made and as they are, (n, pixels, 3): ``shift`` (n,) apart, blocks of 64 wrong together by chance."""
    draw = torch.Generator().manual_seed(seed)
    n = len(shift)
    true = torch.rand(n, PIXELS, 3, generator=draw) * 0.5 + 0.25
    error = wrong * torch.randn(n, PIXELS // 64, 3, generator=draw).repeat_interleave(64, 1)
    return true + error - shift[:, None, None], true


def _at_grey(gain: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """What becomes of mid grey, as a shift, (n,)."""
    return (gain * 0.5 + offset - 0.5).mean(1)


def test_chance_is_averaged_out() -> None:
    made, true = _frames(torch.full((40,), 0.1), wrong=0.08)
    alone, steady = (_at_grey(*fit(made, true)) for fit in (fit_colours, SteadyColours()))
    assert steady[10:].diff().abs().mean() < alone[10:].diff().abs().mean() / 2
    assert steady[10:].std() < alone[10:].std() / 1.5


@pytest.mark.parametrize("wrong", [0.0, 0.02])
def test_what_flickers_is_followed_where_it_is_measured_well(wrong: float) -> None:
    shift = 0.05 * torch.randn(30, generator=torch.Generator().manual_seed(3))
    made, true = _frames(shift, wrong)
    assert (_at_grey(*SteadyColours()(made, true)) - shift).abs().max() < 1 / 255 + wrong / 4


def test_a_flash_and_a_fade_are_followed_at_once() -> None:
    shift = torch.cat([torch.zeros(10), torch.full((2,), 0.2), torch.zeros(5), torch.linspace(0, 0.2, 20)])
    made, true = _frames(shift, wrong=0.03)
    assert (_at_grey(*SteadyColours()(made, true)) - shift).abs().max() < 0.02


def test_what_flat_frames_cannot_tell_is_remembered() -> None:
    """A gain of 0.8 seen in frames of contrast is still known in a flat one, which says nothing of it."""
    true = torch.rand(6, PIXELS, 3, generator=torch.Generator().manual_seed(1))
    true[3:] = 0.5
    gain, _ = SteadyColours()((true - 0.1) / 0.8, true)
    assert (gain - 0.8).abs().max() < 0.02
    assert (fit_colours((true - 0.1) / 0.8, true)[0][3:] - 1).abs().max() < 0.02


def test_frames_that_are_not_finite_are_passed_over() -> None:
    made, true = _frames(torch.full((4,), 0.1), wrong=0.0)
    made[[0, 2]] = torch.nan
    found = _at_grey(*SteadyColours()(made, true))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.1, 0.1, 0.1]), rtol=0, atol=2e-3)
