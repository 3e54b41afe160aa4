"""How a tiny autoencoder begins: as the mean colour of each block of 8x8 pixels, there and back.

From torch's own values it takes thousands of steps until more than brightness comes through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

COLOURS = 3
AXES = ((1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (1.0, 1.0, -2.0))
"""Brightness and two differences of colour, which are less alike than red, green and blue."""

SPREADS = (0.6, 0.25, 0.25)
"""About the standard deviation of synthetic scenes, pixels in -1..1, along the axes: latents begin with about one."""


@torch.no_grad()
def begin_as_mean_colours(network: AutoencoderTiny) -> None:
    """Let colours pass through the first three of all channels, averaged on the way in and smoothed on the way out.

    The other channels keep their random values and residual blocks begin as nothing, so that the gradient finds
    something to work with everywhere.
    """
    for module in network.modules():
        if type(module).__name__ == "AutoencoderTinyBlock":
            nn.init.zeros_(module.conv[-1].weight)
            nn.init.zeros_(module.conv[-1].bias)
    axes = torch.tensor(AXES)
    axes = axes / axes.norm(dim=1, keepdim=True)
    spreads = torch.tensor(SPREADS)[:, None]
    average, smooth = torch.zeros(3, 3), torch.tensor([1.0, 2.0, 1.0])
    average[1:, 1:] = 0.25
    smooth = torch.outer(smooth, smooth) / 16

    first, *middle, last = _convolutions(network.encoder)
    _pass_on(first, torch.eye(COLOURS), torch.zeros(COLOURS))
    for layer in middle:
        _filter(layer, average)
    # Inside, pixels are 0..1; latents are those of -1..1.
    _pass_on(last, 2 * axes / spreads, -(axes / spreads).sum(dim=1))

    first, *middle, last = _convolutions(network.decoder)
    _pass_on(first, (axes * spreads).T / 2, torch.full((COLOURS,), 0.5))
    for layer in middle:
        _filter(layer, smooth)
    _pass_on(last, torch.eye(COLOURS), torch.zeros(COLOURS))


def _convolutions(half: nn.Module) -> list[nn.Conv2d]:
    """The convolutions of a half that stand between its blocks."""
    return [layer for layer in half.layers if isinstance(layer, nn.Conv2d)]


def _pass_on(layer: nn.Conv2d, matrix: Tensor, bias: Tensor) -> None:
    """Let the first channels be a matrix times the first ones before, each pixel by itself."""
    outputs, inputs = matrix.shape
    layer.weight[:outputs] = 0
    layer.weight[:outputs, :inputs, 1, 1] = matrix
    layer.bias[:outputs] = bias


def _filter(layer: nn.Conv2d, kernel: Tensor) -> None:
    """Let each of the first channels be a filtered copy of itself."""
    layer.weight[:COLOURS] = 0
    layer.weight[range(COLOURS), range(COLOURS)] = kernel
