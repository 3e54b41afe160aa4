"""Networks that predict something else than the noise, made to answer as if they did."""

from __future__ import annotations

from torch import Tensor

from .clip import Network
from .schedule import signal_shares


class VelocityNetwork:
    """A network that predicts v (Salimans and Ho, arXiv 2202.00512), as the sampler wants it.

    ``v = sqrt(a) noise - sqrt(1 - a) clean``, and the input ``x = sqrt(a) clean + sqrt(1 - a) noise``, with ``a`` the
    schedule's share of signal.
    """

    def __init__(self, network: Network):
        self.network = network
        self.signal = signal_shares()

    def encode_global(self, latents: Tensor) -> Tensor:
        """As the network itself does."""
        return self.network.encode_global(latents)

    def __call__(self, x: Tensor, timesteps: Tensor, global_tokens: Tensor, fps: Tensor) -> Tensor:
        """(b, 9, f, h, w), (b,), (b, n, c), (b,) to the noise (b, 4, f, h, w)."""
        velocity = self.network(x, timesteps, global_tokens, fps)
        signal = self.signal.to(timesteps.device)[timesteps].view(-1, 1, 1, 1, 1).to(velocity)
        return signal.sqrt() * velocity + (1 - signal).sqrt() * x[:, : velocity.shape[1]]


def noise_network(network: Network, prediction_type: str) -> Network:
    """Wrap a network according to its checkpoint's ``prediction_type``, "epsilon" or "v_prediction"."""
    return VelocityNetwork(network) if prediction_type == "v_prediction" else network
