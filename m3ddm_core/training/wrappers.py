"""What training puts around the network: one forward for all of it, its averaged weights, less memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from ..unet import M3DDMUNet
from ..unet.attention import SpatioTemporalTransformer
from ..unet.layers import Pseudo3DConv, ResidualBlock

if TYPE_CHECKING:
    from diffusers.training_utils import EMAModel


class Answer(nn.Module):
    """Global frames and clip in one forward, as data-parallel training wants it.

    ``with_global``: without, all clips of a batch have the one blank global frame, which is then encoded once.
    """

    def __init__(self, network: M3DDMUNet, *, with_global: bool = True):
        super().__init__()
        self.network, self.with_global = network, with_global

    def forward(self, x: Tensor, timesteps: Tensor, global_latents: Tensor, fps: Tensor) -> Tensor:
        """The network's prediction (b, 4, f, h, w) for a `Batch`'s inputs."""
        if self.with_global:
            tokens = self.network.encode_global(global_latents)
        else:
            tokens = self.network.encode_global(global_latents[:1]).expand(len(x), -1, -1)
        return self.network(x, timesteps, tokens, fps)


class Averaged:
    """The network with its averaged weights for as long as the ``with`` lasts."""

    def __init__(self, ema: EMAModel, network: nn.Module):
        self.ema, self.network = ema, network
        self.trained = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def __enter__(self) -> None:
        self.ema.store(self.trained)
        self.ema.copy_to(self.trained)
        self.network.eval()

    def __exit__(self, *exception: object) -> None:
        self.ema.restore(self.trained)
        self.network.train()


def recompute_activations(network: M3DDMUNet) -> None:
    """Keep no activations inside residual blocks and transformers: they are computed again for the gradient."""
    for module in network.modules():
        if isinstance(module, (ResidualBlock, SpatioTemporalTransformer)):
            module.forward = partial(recompute, module.forward, use_reentrant=False)


def leave_out_time(network: M3DDMUNet) -> None:
    """Train on single pictures: what looks along time is neither computed nor changed.

    It must be nothing, as `begin_time_as_nothing` makes it: then the network answers as it would.
    """
    for module in temporal_parts(network):
        module.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Pseudo3DConv):
            module.temporal_conv.forward = _as_it_is
        elif isinstance(module, SpatioTemporalTransformer):
            module.over_time = _nothing


def temporal_parts(network: M3DDMUNet) -> Iterator[nn.Module]:
    """Yield the layers that an image network does not have, but for those of the global frames."""
    yield network.fps_embedding
    for module in network.modules():
        if isinstance(module, Pseudo3DConv):
            yield module.temporal_conv
        elif isinstance(module, ResidualBlock):
            yield module.fps_emb_proj
        elif isinstance(module, SpatioTemporalTransformer):
            yield from (module.temporal_position_embed_proj, module.norm2, module.proj_in2)
            yield from (module.transformer_blocks2, module.proj_out2)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _nothing(x: Tensor, transformer_options: dict) -> Tensor:
    return x.new_zeros(())
