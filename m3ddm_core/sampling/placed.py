"""A network that computes on another device, or in another dtype, than the sampler around it."""

from __future__ import annotations

import torch
from torch import Tensor

from .clip import Network


class PlacedNetwork:
    """Hands a network its inputs where and as what it wants them, and its answers back where and as what they came."""

    def __init__(self, network: Network, device: torch.device | str, dtype: torch.dtype = torch.float32):
        self.network, self.device, self.dtype = network, torch.device(device), dtype

    def encode_global(self, latents: Tensor) -> Tensor:
        """(b, g, 4, gh, gw) to tokens (b, n, c), which stay where the network is."""
        return self.network.encode_global(latents.to(self.device, self.dtype))

    def __call__(self, x: Tensor, timesteps: Tensor, global_tokens: Tensor, fps: Tensor) -> Tensor:
        """(b, 9, f, h, w), (b,), (b, n, c), (b,) to what the network predicts (b, 4, f, h, w)."""
        predicted = self.network(
            x.to(self.device, self.dtype), timesteps.to(self.device), global_tokens, fps.to(self.device)
        )
        return predicted.to(x)
