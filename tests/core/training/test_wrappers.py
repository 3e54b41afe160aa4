"""What training puts around the network."""

from __future__ import annotations

import torch

from m3ddm_core.training.config import Network
from m3ddm_core.training.initialise import fresh_network, network_config
from m3ddm_core.training.wrappers import Answer, InBfloat16

SMALL = Network(
    block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=32, attention_heads=2, norm_num_groups=8
)


def gradients(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's answer, and its weights' gradients in one row."""
    model.zero_grad()
    answer = model(*inputs)
    answer.float().square().mean().backward()
    assert all(weight.grad.dtype == torch.float32 for weight in model.parameters())
    return answer, torch.cat([weight.grad.flatten() for weight in model.parameters()])


def test_in_bfloat16_weights_and_gradients_stay_float32() -> None:
    torch.manual_seed(0)
    model = Answer(fresh_network(network_config(SMALL)).train())
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.02 * torch.randn_like(weight)
    inputs = torch.randn(2, 9, 3, 8, 8), torch.tensor([10, 900]), torch.randn(2, 1, 4, 32, 32), torch.tensor([24, 3])
    exact, gradient = gradients(model, inputs)
    rounded, near = gradients(InBfloat16(model), inputs)
    assert rounded.dtype == torch.bfloat16
    assert 0 < (rounded - exact).norm() < 0.03 * exact.norm()
    assert 0 < (near - gradient).norm() < 0.05 * gradient.norm()
