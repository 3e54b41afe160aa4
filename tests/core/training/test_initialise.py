"""Where training starts: nothing, an image network, M3DDM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from m3ddm_core.checkpoint import save_checkpoint
from m3ddm_core.training.config import parse_config
from m3ddm_core.training.initialise import fresh_network, initial_network
from m3ddm_core.unet import M3DDMUNet, UNetConfig

CONFIG = UNetConfig(9, 4, (8, 8), 1, 8, 2, 4, 1e-5)


def outputs(network: M3DDMUNet, x: torch.Tensor, global_latents: torch.Tensor, fps: int = 24) -> torch.Tensor:
    with torch.no_grad():
        tokens = network.encode_global(global_latents)
        return network.eval()(x, torch.tensor([500]), tokens, torch.tensor([fps]))


def test_a_fresh_network_looks_at_no_neighbour_and_no_global_frame() -> None:
    torch.manual_seed(0)
    network = fresh_network(CONFIG)
    for block in network.modules():
        if hasattr(block, "to_out"):
            assert block.to_out[0].weight.eq(0).all()
    x = torch.randn(1, 9, 1, 8, 8).expand(1, 9, 3, 8, 8)
    first, second = (outputs(network, x, torch.randn(1, 2, 4, 8, 8)) for _ in range(2))
    assert torch.equal(first, second)
    tokens = network.encode_global(torch.randn(1, 2, 4, 16, 16))
    assert 0.1 < tokens.std() < 10, "the global encoder keeps a signal's size"


def image_unet(width: int = 8) -> torch.nn.Module:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    network = UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        block_out_channels=(width, width),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    # Without text, and with a time embedding that sinusoids of any period can give.
    for name, parameter in network.named_parameters():
        if ".attn2.to_out." in name or name == "time_embedding.linear_1.weight":
            torch.nn.init.zeros_(parameter)
    return network


def test_an_inflated_network_answers_a_still_clip_as_the_image_network_its_picture(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    image = image_unet()
    save_file(image.state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    settings["network"] |= {"start": "sd15", "weights": str(tmp_path)}
    network = initial_network(parse_config(settings))
    x = torch.randn(1, 9, 1, 8, 8).expand(1, 9, 3, 8, 8)
    ours = outputs(network, x, torch.randn(1, 2, 4, 8, 8))
    with torch.no_grad():
        theirs = image(x[:, :4, 0], 500, torch.randn(1, 5, 24)).sample
    for frame in range(3):
        torch.testing.assert_close(ours[:, :, frame], theirs, atol=1e-5, rtol=1e-4)
    assert torch.equal(outputs(network, x, torch.zeros(1, 2, 4, 8, 8), fps=3), ours)


def test_an_image_network_of_other_sizes_is_named(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "unet.safetensors"
    save_file(image_unet(16).state_dict(), file)
    settings["network"] |= {"start": "sd15", "weights": str(file)}
    with pytest.raises(ValueError, match=r"of another shape \(.*got .*expected"):
        initial_network(parse_config(settings))
    file.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"unet\.safetensors: got a file that is neither safetensors"):
        initial_network(parse_config(settings))


def test_m3ddm_is_taken_as_it_is(settings: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(2)
    saved = M3DDMUNet(CONFIG)
    metadata = {"prediction_type": "epsilon"}
    save_checkpoint(tmp_path / "m3ddm.safetensors", saved.state_dict(), CONFIG, metadata)
    settings["network"] = {"start": "m3ddm", "weights": str(tmp_path / "m3ddm.safetensors")}
    settings["objective"] = {"prediction": "v_prediction"}
    with pytest.raises(ValueError, match="predicts epsilon"):
        initial_network(parse_config(settings))
    del settings["objective"]
    network = initial_network(parse_config(settings))
    assert network.training and network.config == CONFIG
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name]), name
