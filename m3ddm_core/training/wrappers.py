"""What training puts around the network: one forward for all of it, its averaged weights, less memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from ..unet import M3DDMUNet
from ..unet.attention import SpatioTemporalTransformer
from ..unet.layers import ResidualBlock

if TYPE_CHECKING:
    from diffusers.training_utils import EMAModel


class Answer(nn.Module):
    """Global frames and clip in one forward, as data-parallel training wants it."""

    def __init__(self, network: M3DDMUNet):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, timesteps: Tensor, global_latents: Tensor, fps: Tensor) -> Tensor:
        """The network's prediction (b, 4, f, h, w) for a `Batch`'s inputs."""
        return self.network(x, timesteps, self.network.encode_global(global_latents), fps)


class Averaged:
    """The network with its averaged weights for as long as the ``with`` lasts."""

    def __init__(self, ema: EMAModel, network: nn.Module):
        self.ema, self.network = ema, network

    def __enter__(self) -> None:
        self.ema.store(self.network.parameters())
        self.ema.copy_to(self.network.parameters())
        self.network.eval()

    def __exit__(self, *exception: object) -> None:
        self.ema.restore(self.network.parameters())
        self.network.train()


def recompute_activations(network: M3DDMUNet) -> None:
    """Keep no activations inside residual blocks and transformers: they are computed again for the gradient."""
    for module in network.modules():
        if isinstance(module, (ResidualBlock, SpatioTemporalTransformer)):
            module.forward = partial(recompute, module.forward, use_reentrant=False)
