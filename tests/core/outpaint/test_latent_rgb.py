"""What latents look like, told by frames of which both are known."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.outpaint.latent_rgb import LatentRgbFit


def drawn(seed: int, k: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents (k, 4, 5, 6), their colours' line, and the frames that they make by it, a block of one colour each."""
    draw = torch.Generator().manual_seed(seed)
    latents = torch.randn(k, 4, 5, 6, generator=draw)
    look = torch.cat([torch.randn(4, 3, generator=draw) * 0.1, torch.full((1, 3), 0.5)])
    colours = latents.movedim(1, -1) @ look[:-1] + look[-1]
    return latents, look, colours.repeat_interleave(8, 1).repeat_interleave(8, 2)


def test_a_line_is_found_again_from_parts():
    latents, look, frames = drawn(0)
    fit = LatentRgbFit()
    fit.add(frames[:1], latents[:1])
    fit.add(frames[1:], latents[1:])
    torch.testing.assert_close(fit.latent_rgb(), look, atol=2e-3, rtol=0)


def test_what_a_block_holds_counts_by_its_mean():
    latents, look, frames = drawn(1)
    frames = frames.clone()
    frames[:, ::2] += 0.2
    frames[:, 1::2] -= 0.2
    fit = LatentRgbFit()
    fit.add(frames, latents)
    torch.testing.assert_close(fit.latent_rgb(), look, atol=2e-3, rtol=0)


def test_latents_that_do_not_change_say_nothing_of_colours():
    """As the latents of hue in a video without colour: generated ones that differ must not glow."""
    latents, _, frames = drawn(2)
    latents[:, 3] = 0.7 + 1e-4 * latents[:, 3]
    fit = LatentRgbFit()
    fit.add(frames, latents)
    assert fit.latent_rgb()[3].abs().max() < 0.05, "a plain least-squares line has a slope of hundreds here"


def test_flat_frames_and_none_tell_nothing():
    fit = LatentRgbFit()
    assert fit.latent_rgb() is None
    fit.add(torch.full((2, 16, 16, 3), 0.3), torch.randn(2, 4, 2, 2, generator=torch.Generator().manual_seed(3)))
    assert fit.latent_rgb() is None


@pytest.mark.parametrize("broken", [0.0, float("nan"), float("inf")])
def test_latents_of_a_broken_vae_tell_nothing_and_end_nothing(broken: float):
    latents, _, frames = drawn(4)
    fit = LatentRgbFit()
    fit.add(frames, torch.full_like(latents, broken))
    assert fit.latent_rgb() is None
