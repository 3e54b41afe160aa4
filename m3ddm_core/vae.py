"""Image autoencoders for use without ComfyUI: Stable Diffusion 1.x's, and the tiny ones (TAESD's format)."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor

from .checkpoint import CheckpointError, read_tensors
from .checkpoint.finite import check_finite
from .checkpoint.folder import open_folder
from .checkpoint.network import MOST_CHANNELS, MOST_LAYERS, MOST_LEVELS
from .checkpoint.recognise import shown
from .checkpoint.whole import written_whole
from .journal.weights import WeightsFile

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny

SCALE = 0.18215
"""From a VAE's raw latents to model space, by Stable Diffusion 1.5."""

FRAMES_AT_ONCE = 8

Encode = Callable[[Tensor], Tensor]
"""Frames (n, h, w, 3), float, 0..1, sides multiples of 8, to latents (n, 4, h / 8, w / 8) in model space."""

Decode = Callable[[Tensor], Tensor]
"""Latents (n, 4, h, w) in model space to frames (n, 8 h, 8 w, 3), float, 0..1."""

SD15_VAE = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "scaling_factor": SCALE,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
"""What diffusers calls the autoencoder of Stable Diffusion 1.x: it would otherwise ask the network for it."""

_TINY = "taesd_decoder.1.weight"

_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""What diffusers calls the layers of an attention now, by what it called them in the folders of its first years."""
_OLD_ATTENTION = re.compile(rf"(attentions\.\d+)\.({'|'.join(_ATTENTION)})\.")


class VAE:
    """An autoencoder as the core wants it: two callables between frames and model space.

    ``network`` is one of diffusers'. ``scale`` and ``shift`` turn its latents into raw ones
    (``latents / scale + shift``), as the VAE node of ComfyUI returns them. ``weights``: the file that it
    was read from, if it was.
    """

    def __init__(self, network: AutoencoderKL | AutoencoderTiny, scale: float = 1.0, shift: float = 0.0):
        self.network = network.eval().requires_grad_(False)
        self.scale, self.shift = scale, shift
        self.weights: WeightsFile | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> VAE:
        """Move the weights and return this VAE."""
        # diffusers' own `to` warns of casts that are not asked for here.
        torch.nn.Module.to(self.network, device)
        return self

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Frames (n, h, w, 3), 0..1, sides multiples of 8, to latents (n, 4, h / 8, w / 8) in model space, float32.

        The latents are the mode of the posterior, and come back on the frames' device.
        """
        latents = []
        for some in frames.split(FRAMES_AT_ONCE):
            pixels = rearrange(some.float(), "n h w c -> n c h w").to(self.device) * 2 - 1
            encoded = self.network.encode(pixels)
            latent = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
            latents.append((latent / self.scale + self.shift) * SCALE)
        return torch.cat(latents).float().to(frames.device)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (n, 4, h, w) in model space to frames (n, 8 h, 8 w, 3), float32, 0..1, on the latents' device."""
        frames = []
        for some in latents.split(FRAMES_AT_ONCE):
            pixels = self.network.decode((some.to(self.device) / SCALE - self.shift) * self.scale).sample
            frames.append(rearrange(pixels.float() / 2 + 0.5, "n c h w -> n h w c").clamp(0, 1))
        return torch.cat(frames).to(latents.device)


def load_vae(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> VAE:
    """Load an SD 1.x VAE (a file of its own, a whole SD 1.x checkpoint, a diffusers folder) or a tiny one in a file.

    A tiny one has the tensors ``taesd_encoder.*``, ``taesd_decoder.*`` and ``vae_scale``, as ComfyUI reads them.
    Files are read as `read_tensors` reads. Raises `CheckpointError` for what is neither, or not whole, or not finite,
    and ``ValueError`` without diffusers.
    """
    if find_spec("diffusers") is None:
        raise ValueError("reading a VAE needs the package diffusers: run `pip install diffusers`")
    path = Path(path)
    weights = WeightsFile.at(path)
    try:
        if path.is_dir():
            vae = _folder(path)
        else:
            tensors = _plain(read_tensors(path).tree)
            vae = _tiny(tensors) if _TINY in tensors else _stable_diffusion(tensors)
    except CheckpointError:
        raise
    # diffusers raises what it pleases about a file that is not what it should be, KeyError and its own among them. Its
    # words are about its own functions: they stay out of the message.
    except Exception as error:
        raise CheckpointError(
            f"{path.name}: got no autoencoder that can be read ({type(error).__name__}), expected the VAE of Stable "
            "Diffusion 1.x, such as vae-ft-mse-840000-ema-pruned.safetensors, or one in TAESD's format"
        ) from error
    try:
        check_finite(vae.network.state_dict())
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    vae.weights = weights
    return vae.to(device)


def _plain(tree: Any) -> dict[str, Tensor]:
    """Return the tensors of a file that may keep them under ``state_dict``."""
    tree = tree.get("state_dict", tree)
    return {name: tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}


def _folder(folder: Path) -> VAE:
    """Load a folder in diffusers form; its config.json may not name other sizes than the file has."""
    from diffusers import AutoencoderKL

    files, config = open_folder(folder)
    for key, value in config.items():
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > MOST_LEVELS or any(isinstance(number, int) and number > MOST_CHANNELS for number in numbers):
            raise CheckpointError(
                f"{folder.name}: got {shown(key)} = {shown(str(value))} in config.json, expected the numbers of an "
                "autoencoder; take the original file again"
            )
    if type(config.get("layers_per_block")) is int and config["layers_per_block"] > MOST_LAYERS:
        raise CheckpointError(
            f"{folder.name}: got {config['layers_per_block']} layers per block in config.json, expected at most "
            f"{MOST_LAYERS}; take the original file again"
        )
    tensors = {}
    for file in files:
        tensors |= _plain(read_tensors(file).tree)
    # Nothing is allocated before the shapes are known to be those of the file.
    with torch.device("meta"):
        network = AutoencoderKL.from_config(config)
    named = {
        _OLD_ATTENTION.sub(_new_attention, name): tensor.to(torch.float32, copy=True)
        for name, tensor in tensors.items()
    }
    network.load_state_dict(named, strict=True, assign=True)
    return VAE(network)


def _new_attention(name: re.Match[str]) -> str:
    return f"{name[1]}.{_ATTENTION[name[2]]}."


def _tiny(tensors: Mapping[str, Tensor]) -> VAE:
    from diffusers import AutoencoderTiny

    # Which has the clamp before the decoder in its forward, not in its list of layers.
    names = {
        name: f"encoder.layers.{rest}" if part == "taesd_encoder" else f"decoder.layers.{_one_less(rest)}"
        for name in tensors
        for part, _, rest in [name.partition(".")]
        if part in ("taesd_encoder", "taesd_decoder")
    }
    network = AutoencoderTiny()
    network.load_state_dict({new: tensors[old].float() for old, new in names.items()})
    scale, shift = tensors.get("vae_scale", torch.tensor(1.0)), tensors.get("vae_shift", torch.tensor(0.0))
    return VAE(network, scale.item(), shift.item())


def _one_less(name: str) -> str:
    index, _, rest = name.partition(".")
    return f"{int(index) - 1}.{rest}"


def _stable_diffusion(tensors: dict[str, Tensor]) -> VAE:
    from diffusers import AutoencoderKL

    with tempfile.TemporaryDirectory(prefix="m3ddm-vae-") as folder:
        Path(folder, "config.json").write_text(json.dumps(SD15_VAE), encoding="utf-8")
        return VAE(AutoencoderKL.from_single_file(tensors, config=folder, torch_dtype=torch.float32))


def tiny_state_dict(model: AutoencoderTiny) -> dict[str, Tensor]:
    """Return the weights under the names by which ComfyUI knows a TAESD file.

    ``vae_scale`` makes its raw latents as large as those of SD 1.x's own VAE, so that 0.18215 times them are what the
    encoder gives.
    """
    found = {}
    for name, tensor in model.state_dict().items():
        half, _, index, rest = name.split(".", 3)
        # In diffusers' decoder the clamp is no layer; in TAESD's it is layer 0.
        prefix = f"taesd_encoder.{index}" if half == "encoder" else f"taesd_decoder.{int(index) + 1}"
        found[f"{prefix}.{rest}"] = tensor.detach().cpu().contiguous()
    return {**found, "vae_scale": torch.tensor(SCALE), "vae_shift": torch.tensor(0.0)}


def save_tiny(path: str | os.PathLike[str], model: AutoencoderTiny, dtype: torch.dtype = torch.float16) -> None:
    """Write one safetensors file, whole or not at all; the scale stays float32."""
    path = Path(path)
    tensors = tiny_state_dict(model)
    tensors = {name: tensor if name.startswith("vae_") else tensor.to(dtype) for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        save_file(tensors, partial)
