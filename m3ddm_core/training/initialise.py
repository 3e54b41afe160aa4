"""What a network's weights are before the first step: nothing, Stable Diffusion 1.5's inflated, or M3DDM's own.

Whatever is added to an image network begins as nothing: frames are left alone until training finds a use for their
neighbours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoint import build_unet, read_checkpoint, read_tensors
from ..checkpoint.container import SAFETENSORS
from ..sampling.schedule import TRAIN_TIMESTEPS
from ..unet import M3DDM_CONFIG, M3DDMUNet, UNetConfig
from ..unet.attention import MultiHeadAttention, SpatioTemporalTransformer
from ..unet.global_encoder import Bottleneck
from ..unet.layers import Pseudo3DConv, ResidualBlock, sinusoidal_embedding
from ..unet.model import TIME_MAX_PERIOD
from .config import Config, Network

SD_TIME_MAX_PERIOD = 10_000
SD_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")

_SPATIAL_CONV = re.compile(r"(.*resnets\.\d+\.conv[12]|conv_out)\.(weight|bias)")
_GLOBAL = re.compile(r".*\.attn2\.(to_k|to_v|to_out\.0)\..*")


def initial_network(config: Config) -> M3DDMUNet:
    """Return the network a run starts with, float32 on the CPU, in training mode.

    Random values come from the configuration's seed. Raises ``ValueError`` for weights that do not fit.
    """
    torch.manual_seed(config.run.seed)
    network = _started(config)
    if config.network.start == "image" or config.data.frames == 1:
        begin_time_as_nothing(network)
    return network.train()


def _started(config: Config) -> M3DDMUNet:
    """The network with the values that ``network.start`` asks for."""
    if config.network.start in ("m3ddm", "image"):
        checkpoint = read_checkpoint(config.path(config.network.weights))
        if checkpoint.prediction_type != config.objective.prediction:
            raise ValueError(
                f"got a network that predicts {checkpoint.prediction_type} to start from, expected "
                f"objective.prediction = {config.objective.prediction!r}; train it on with its own"
            )
        return build_unet(checkpoint, dtype=torch.float32)
    network = fresh_network(network_config(config.network))
    if config.network.start == "sd15":
        inflate(network, read_image_unet(config.path(config.network.weights)))
    return network


def network_config(network: Network) -> UNetConfig:
    """Return the sizes that a configuration asks for."""
    return UNetConfig(
        in_channels=M3DDM_CONFIG.in_channels,
        out_channels=M3DDM_CONFIG.out_channels,
        block_out_channels=network.block_out_channels,
        layers_per_block=network.layers_per_block,
        cross_attention_dim=network.cross_attention_dim,
        attention_heads=network.attention_heads,
        norm_num_groups=network.norm_num_groups,
        norm_eps=M3DDM_CONFIG.norm_eps,
    )


def fresh_network(config: UNetConfig) -> M3DDMUNet:
    """Return a network as published training code begins it: torch's own values, but what mixes starts as nothing.

    Attentions answer zero, temporal convolutions and the projections around the temporal half pass on what they get.
    The global encoder, whose batch norms never normalise, gets values that keep a signal's size (He et al., 2015), its
    residuals beginning as nothing.
    """
    network = M3DDMUNet(config)
    for module in network.modules():
        if isinstance(module, MultiHeadAttention):
            _zero(module.to_out[0])
        elif isinstance(module, Pseudo3DConv):
            nn.init.dirac_(module.temporal_conv.weight)
            nn.init.zeros_(module.temporal_conv.bias)
        elif isinstance(module, SpatioTemporalTransformer):
            for layer in (module.proj_in2, module.proj_out2):
                nn.init.dirac_(layer.weight)
                nn.init.zeros_(layer.bias)
    for module in network.global_img_encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.layer[-1].normalization.weight)
    return network


def inflate(network: M3DDMUNet, image: Mapping[str, Tensor]) -> None:
    """Load an image U-Net's weights (diffusers' names) so that a still clip comes out as its picture would.

    The added input channels, the frame rate's part, the attention to global frames and the temporal half of each
    transformer begin as zero, temporal convolutions as identity. The time embedding's first layer is refitted to
    M3DDM's sinusoids, which have other periods. Raises ``ValueError`` where tensors are missing or of other shapes.
    """
    ours = network.state_dict()
    changed: dict[str, Tensor] = {}
    unknown, wrong = [], []
    for name, tensor in image.items():
        target = _SPATIAL_CONV.sub(r"\1.spatial_conv.\2", name)
        if _GLOBAL.fullmatch(target):
            continue
        if target not in ours:
            unknown.append(name)
            continue
        changed[target] = _grow(target, tensor.float(), ours[target])
        if changed[target].shape != ours[target].shape:
            wrong.append(f"{name} (got {tuple(tensor.shape)}, expected one that grows to {tuple(ours[target].shape)})")
    missing = [name for name in ours if name not in changed and not _is_added(name)]
    if unknown or wrong or missing:
        found = [
            f"{len(names)} {what} ({', '.join(names[:3])})"
            for what, names in (("unknown", unknown), ("of another shape", wrong), ("missing", missing))
            if names
        ]
        raise ValueError(
            f"got an image U-Net with tensors {'; '.join(found)}, expected Stable Diffusion 1.5's in diffusers' form "
            "and the sizes of [network]"
        )
    weight, bias = _refit(changed["time_embedding.linear_1.weight"], changed["time_embedding.linear_1.bias"])
    changed |= {"time_embedding.linear_1.weight": weight, "time_embedding.linear_1.bias": bias}
    network.load_state_dict(changed, strict=False)
    begin_time_as_nothing(network)


def begin_time_as_nothing(network: M3DDMUNet) -> None:
    """Let a still clip come out as its picture would: temporal convolutions pass on, temporal attention adds nothing.

    Nor does the frame rate. What lies behind stays as it was, and learns as soon as its projection is no longer zero.
    """
    for module in network.modules():
        if isinstance(module, Pseudo3DConv):
            nn.init.dirac_(module.temporal_conv.weight)
            nn.init.zeros_(module.temporal_conv.bias)
        elif isinstance(module, ResidualBlock):
            _zero(module.fps_emb_proj)
        elif isinstance(module, SpatioTemporalTransformer):
            _zero(module.proj_out2)


def read_image_unet(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a U-Net's tensors from a safetensors file, or from diffusers' folder of it or of its whole pipeline."""
    path = Path(path)
    if path.is_dir():
        places = [folder / name for folder in (path, path / "unet") for name in SD_WEIGHTS]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise ValueError(f"{path}: got a folder without {SD_WEIGHTS[0]}, expected diffusers' folder of a U-Net")
        path = found
    found = read_tensors(path)
    if found.source != SAFETENSORS:
        raise ValueError(f"{path}: got a {found.source}, expected a safetensors file; take diffusers' own")
    return found.tree


def _is_added(name: str) -> bool:
    """Whether an image U-Net has nothing for a tensor of ours."""
    parts = ("temporal", "norm2", "proj_in2", "proj_out2", "transformer_blocks2", "fps_", "global_img_encoder")
    if any(part in name for part in parts):
        return ".resnets." not in name or "norm2" not in name
    return bool(_GLOBAL.fullmatch(name))


def _grow(name: str, tensor: Tensor, ours: Tensor) -> Tensor:
    """Give an image network's tensor the axes and input channels that ours has; what is added is zero."""
    if tensor.ndim == 2 and ours.ndim == 4:
        tensor = tensor[:, :, None, None]
    if tensor.ndim == 4 and ours.ndim == 5:
        tensor = tensor[:, :, None]
    if name == "conv_in.weight" and tensor.shape[1] < ours.shape[1]:
        tensor = F.pad(tensor, (0, 0) * 3 + (0, ours.shape[1] - tensor.shape[1]))
    return tensor


def _refit(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights that answer our sinusoids of the timesteps, as nearly as can be, as theirs answered theirs."""
    dim = weight.shape[1]
    times = torch.arange(TRAIN_TIMESTEPS)
    theirs = sinusoidal_embedding(times, dim, SD_TIME_MAX_PERIOD).double()
    ours = sinusoidal_embedding(times, dim, TIME_MAX_PERIOD).double()
    answers = theirs @ weight.T.double()
    # Slow sinusoids are nearly one another's multiples: a little ridge keeps the weights small.
    one = torch.cat([ours, torch.ones(TRAIN_TIMESTEPS, 1, dtype=torch.float64)], dim=1)
    ridge = 1e-6 * TRAIN_TIMESTEPS * torch.eye(dim + 1, dtype=torch.float64)
    fitted = torch.linalg.solve(one.T @ one + ridge, one.T @ answers)
    return fitted[:-1].T.float(), (bias.double() + fitted[-1]).float()


def _zero(layer: nn.Module) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
