"""Stable Diffusion's colour axes for a tiny autoencoder: latents whose colours ComfyUI's previews know.

In Stable Diffusion 1.5's latents a fixed matrix finds the colours of each block of 8x8 pixels. Here latents of another
autoencoder are turned so that the same matrix finds them, by one affine map of their four numbers: folded into the last
convolution of the encoder and the first of the decoder it changes nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor

from ..canvas.placement import LATENT_SCALE

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

CHANNELS = 4

COLOURS = (
    (0.3444, 0.1385, 0.0670),
    (0.1247, 0.4027, 0.1494),
    (-0.3192, 0.2513, 0.2103),
    (-0.1307, -0.1874, -0.7445),
)
"""Latents in model space (z, 4) times this are about the colours, -1..1: InvokeAI's for Stable Diffusion 1.5."""

LEAST_REST = 0.25
"""Variance of what the matrix does not see, where the colours alone make latents of variance one."""

LEAST_VARIANCE = 1e-4
"""Latents that vary less, in some direction, are not a trained autoencoder's."""


def colour_error(latents: Tensor, pictures: Tensor) -> Tensor:
    """Mean squared error () of the colours that the matrix finds.

    ``latents`` (n, 4, h, w) in model space, ``pictures`` (n, 3, 8h, 8w), -1..1.
    """
    matrix = torch.tensor(COLOURS, device=latents.device, dtype=latents.dtype)
    found = einsum(latents, matrix, "n z h w, z c -> n c h w")
    return F.mse_loss(found, F.avg_pool2d(pictures, LATENT_SCALE))


def fit_turn(latents: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix (4, 4) and an offset (4,), float64: latents (z) times the one plus the other have SD's axes.

    Three directions are the least squares of the pictures' colours on the latents. The fourth, which the matrix of
    colours does not see, is what these leave: uncorrelated with them, and as large as makes the mean variance of the
    channels one. Arguments as for `colour_error`. Raises ``ValueError`` for latents that hardly change.
    """
    rows = rearrange(latents, "n z h w -> (n h w) z").double()
    small = rearrange(F.avg_pool2d(pictures, LATENT_SCALE), "n c h w -> (n h w) c").double()
    mean, colour_mean = rows.mean(dim=0), small.mean(dim=0)
    rows, small = rows - mean, small - colour_mean
    covariance = rows.T @ rows / len(rows)
    least = torch.linalg.eigvalsh(covariance)[0].item()
    if least < LEAST_VARIANCE:
        raise ValueError(
            f"got latents that hardly change in some direction (variance {least:.1e}), expected a trained "
            "autoencoder's; start without weights instead"
        )
    slopes = torch.linalg.lstsq(rows, small).solution
    matrix = torch.tensor(COLOURS, dtype=torch.float64)
    back = torch.linalg.pinv(matrix)
    seen = slopes @ back

    unseen = torch.linalg.svd(matrix.T).Vh[-1]
    rest = torch.linalg.svd((covariance @ slopes).T).Vh[-1]
    rest = rest / (rest @ covariance @ rest).sqrt()
    variance = (CHANNELS - torch.trace(seen.T @ covariance @ seen)).clamp(min=LEAST_REST)
    turn = seen + variance.sqrt() * torch.outer(rest, unseen)
    return turn, colour_mean @ back - mean @ seen - variance.sqrt() * (mean @ rest) * unseen


@torch.no_grad()
def fold_turn(network: AutoencoderTiny, turn: Tensor, offset: Tensor) -> None:
    """Let the encoder give ``latents @ turn + offset`` and the decoder take that for what it took before.

    The encoder's is exact. The decoder's is so but for what lies outside of its first convolution: the soft clamp
    before it sees other numbers, and the padding at the rim is other numbers' zero.
    """
    last, first = network.encoder.layers[-1], network.decoder.layers[0]
    inverse = torch.linalg.inv(turn)
    last.weight.copy_(einsum(last.weight.double(), turn, "old i y x, old new -> new i y x"))
    last.bias.copy_(last.bias.double() @ turn + offset)
    weight = first.weight.double()
    first.bias.sub_(einsum(weight, offset @ inverse, "o old y x, old -> o"))
    first.weight.copy_(einsum(weight, inverse, "o old y x, new old -> o new y x"))
