"""The network's promises beside its numbers: names, sizes, dtypes, injected parts, what is computed how often."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn

from m3ddm_core.unet import M3DDM_CONFIG, M3DDMUNet, cpu, sdpa
from m3ddm_core.unet.layers import Pseudo3DConv
from tests.helpers.golden_files import GOLDEN, relative_difference, seeded_network

TINY = dataclasses.replace(M3DDM_CONFIG, block_out_channels=(32, 32, 64, 64))


@pytest.fixture(scope="module")
def network():
    return seeded_network(TINY)


def inputs(b=1, f=16, h=8, w=8, tokens=4):
    draw = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn((b, 9, f, h, w), generator=draw),
        "timesteps": torch.full((b,), 500),
        "global_tokens": torch.randn((b, tokens, 320), generator=draw),
        "fps": torch.full((b,), 8),
    }


def test_full_size_names_and_shapes_are_the_published_ones():
    published = json.loads((GOLDEN / "full_size_state_dict.json").read_text())
    network = M3DDMUNet(M3DDM_CONFIG, device="meta")
    assert {name: list(t.shape) for name, t in network.state_dict().items()} == published["shapes"]
    assert sum(p.numel() for p in network.parameters()) == published["parameters"] == 1_299_279_320


@pytest.mark.parametrize(("h", "w"), [(1, 1), (3, 5), (7, 8), (9, 4), (18, 32)])
@torch.inference_mode()
def test_latents_of_any_size_come_out_as_they_went_in(network, h, w):
    output = network(**inputs(f=2, h=h, w=w))
    assert output.shape == (1, 4, 2, h, w) and torch.isfinite(output).all()


@torch.inference_mode()
def test_clips_of_a_batch_do_not_mix(network):
    both = inputs(b=2)
    together = network(**both)
    for row in range(2):
        alone = network(**{name: value[row : row + 1] for name, value in both.items()})
        assert relative_difference(together[row : row + 1], alone) < 1e-5


@torch.inference_mode()
def test_frames_influence_one_another_both_ways(network):
    given = inputs()
    plain = network(**given)
    for changed, watched in ((0, 15), (15, 0)):
        x = given["x"].clone()
        x[:, :, changed] += 1
        assert not torch.equal(network(**{**given, "x": x})[:, :, watched], plain[:, :, watched])


@pytest.mark.parametrize("name", ["timesteps", "global_tokens", "fps"])
@torch.inference_mode()
def test_every_condition_counts(network, name):
    given = inputs()
    assert not torch.allclose(network(**given), network(**{**given, name: given[name] + 3}))


@torch.inference_mode()
def test_fps_is_floored(network):
    given = inputs()
    assert torch.equal(network(**given), network(**{**given, "fps": torch.full((1,), 8.9)}))


@torch.inference_mode()
def test_zero_global_latents_are_not_zero_tokens(network):
    assert network.encode_global(torch.zeros(1, 2, 4, 16, 16)).abs().max() > 0
    assert network.encode_global(torch.zeros(1, 16, 4, 32, 32)).shape == (1, 3136, 320)


@torch.inference_mode()
def test_one_black_global_frame_says_what_many_say(network):
    one, many = (network.encode_global(torch.zeros(1, count, 4, 32, 32)) for count in (1, 16))
    assert one.shape[1] * 16 == many.shape[1]
    answers = [network(**{**inputs(), "global_tokens": tokens}) for tokens in (one, many)]
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_keys_of_the_global_tokens_are_computed_once_a_forward(network):
    shapes = []
    cross = network.down_blocks[0].attentions[0].transformer_blocks[0].attn2.to_k
    handle = cross.register_forward_pre_hook(lambda module, args: shapes.append(tuple(args[0].shape)))
    network(**inputs(b=2, tokens=5))
    handle.remove()
    assert shapes == [(2, 5, 320)]


def test_layers_and_attention_are_injected():
    made, asked = [], []

    class Operations:
        def __getattr__(self, name):
            class Layer(getattr(nn, name)):
                def __init__(self, *args, **kwargs):
                    made.append(name)
                    super().__init__(*args, **kwargs)

            return Layer

    def attention(q, k, v, heads, transformer_options=None):
        asked.append((heads, transformer_options))
        return sdpa(q, k, v, heads)

    network = M3DDMUNet(TINY, operations=Operations(), attention=attention)
    weighted = [m for m in network.modules() if any(True for _ in m.parameters(recurse=False))]
    assert len(made) == len(weighted), "every layer with weights comes from the operations given"
    with torch.inference_mode():
        network(**inputs(f=2), transformer_options={"note": 1})
    transformers = 16
    assert asked == [(8, {"note": 1})] * 4 * transformers


@pytest.mark.parametrize("b", [1, 2])
@pytest.mark.parametrize("size", [1, 6])
@torch.inference_mode()
def test_pseudo_3d_convolution_is_one_in_space_then_one_over_time(b, size):
    """At size 1 there are fewer positions than channels, which is laid out otherwise."""
    layer = Pseudo3DConv(8, 40, operations=nn, dtype=None, device=None)
    x = torch.randn(b, 8, 4, size, size)
    space = torch.stack([layer.spatial_conv(x[:, :, frame]) for frame in range(4)], dim=2)
    over_time = nn.Conv1d(40, 40, 3, padding=1)
    over_time.load_state_dict(layer.temporal_conv.state_dict())
    expected = over_time(space.permute(0, 3, 4, 1, 2).flatten(0, 2)).unflatten(0, (b, size, size))
    assert relative_difference(layer(x), expected.permute(0, 3, 4, 1, 2)) < 1e-5


@torch.inference_mode()
def test_a_layer_that_casts_its_weight_still_does():
    """ComfyUI's layers cast and patch in a forward of their own; reshaping by hand must not go round it."""

    class Halved(nn.Conv1d):
        def forward(self, x):
            return self._conv_forward(x, self.weight / 2, self.bias / 2)

    class Operations:
        Conv1d, Conv2d = Halved, nn.Conv2d

    x = torch.randn(1, 8, 4, 6, 6)
    plain = Pseudo3DConv(8, 8, operations=nn, dtype=None, device=None)
    casting = Pseudo3DConv(8, 8, operations=Operations, dtype=None, device=None)
    casting.load_state_dict(plain.state_dict())
    assert relative_difference(casting(x) * 2, plain(x)) < 1e-5


@torch.inference_mode()
def test_feed_forward_in_pieces_is_the_same(network, monkeypatch):
    given = inputs(b=2, f=3)
    whole = network(**given)
    monkeypatch.setattr(cpu, "PIECE", 8 * 32 * 50)
    assert relative_difference(network(**given), whole) < 1e-5


def test_what_is_fast_on_a_cpu_computes_the_same(network, monkeypatch):
    """Torch's own layers and attention in their place; with gradients, too, which take the usual matrix library."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    given = inputs(f=2)
    plain = M3DDMUNet(TINY, operations=nn, attention=sdpa).eval()
    plain.load_state_dict(network.state_dict())
    with torch.inference_mode():
        fast, expected = network(**given), plain(**given)
    assert relative_difference(fast, expected) < 1e-5
    learning = network(**given)
    learning.sum().backward()
    assert relative_difference(learning.detach(), expected) < 1e-5
    assert all(p.grad is not None for p in network.down_blocks.parameters())
    network.zero_grad(set_to_none=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_half_precision_runs_and_is_close(network, dtype):
    given = inputs(f=4)
    half = M3DDMUNet(TINY, dtype=dtype).eval()
    half.load_state_dict(network.state_dict())
    output = half(**{name: value.to(dtype) if value.is_floating_point() else value for name, value in given.items()})
    assert output.dtype == dtype
    assert relative_difference(output.float(), network(**given)) < (0.05 if dtype == torch.bfloat16 else 0.01)


def test_batch_norms_stay_in_evaluation_when_training():
    network = M3DDMUNet(TINY).train()
    assert network.training and not any(m.training for m in network.global_img_encoder.modules())


@pytest.mark.parametrize("shape", [(1, 4, 16, 8, 8), (16, 9, 8, 8)])
def test_other_inputs_are_refused(network, shape):
    with pytest.raises(ValueError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        network(**{**inputs(), "x": torch.zeros(shape)})


def test_the_network_compiles_into_one_graph() -> None:
    config = dataclasses.replace(M3DDM_CONFIG, block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=32)
    network = M3DDMUNet(config).eval()
    inputs = (torch.randn(1, 9, 16, 8, 8), torch.tensor([5]), torch.randn(1, 36, 32), torch.tensor([24]))
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(*inputs), network(*inputs), rtol=1e-4, atol=1e-5)
