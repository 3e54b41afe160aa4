"""What training puts around the network: one forward for all of it, its averaged weights, less memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
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


class InBfloat16(nn.Module):
    """A network that computes in bfloat16, norms included, with float32 weights and gradients.

    Autocast would take every norm to float32 and back: on a GPU half of a small network's time.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """The network's answer, bfloat16; float32 inputs are rounded, others are left alone."""
        tensors = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        halved = {name: _halved(tensor) for name, tensor in tensors.items()}
        with torch.autocast(inputs[0].device.type, enabled=False):
            return torch.func.functional_call(self.network, halved, tuple(_halved(tensor) for tensor in inputs))


def _halved(tensor: Tensor) -> Tensor:
    return tensor.bfloat16() if tensor.dtype == torch.float32 else tensor


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


def replayed(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Record the kernels of a model's forward and backward on a GPU once, for inputs of such shapes, and replay them.

    A small network's step takes less time than starting its kernels one by one.
    """
    return torch.cuda.make_graphed_callables(model, inputs, allow_unused_input=True)


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
