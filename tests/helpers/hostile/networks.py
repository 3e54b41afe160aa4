"""Files that are whole, but hold another network, half of one, or weights that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from .case import CONTAINERS, RIGHT, Case, Weights, put, safetensors_bytes, zip_bytes

SMALL = {"block_out_channels": (32, 32), "layers_per_block": 1, "cross_attention_dim": 32}
"""What the network in the files has of its own: 592 tensors, 1.4 MB in float16. Its heads and groups are the published
ones, so that a pickle needs no metadata."""

OTHERS: dict[str, dict[str, tuple[int, ...]]] = {
    "Stable Diffusion 1.5": {"input_blocks.0.0.weight": (32, 4, 3, 3), "out.2.weight": (4, 32, 3, 3)},
    "a U-Net in diffusers form": {
        "conv_in.weight": (32, 4, 3, 3),
        "time_embedding.linear_1.weight": (8, 8),
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (32, 768),
        "down_blocks.0.resnets.0.conv1.weight": (32, 32, 3, 3),
    },
    "SDXL": {"conditioner.embedders.0.transformer.x": (1,), "label_emb.0.0.weight": (1,)},
    "a VAE": {"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 4, 3, 3)},
    "a tiny VAE": {"taesd_decoder.1.weight": (64, 4, 3, 3)},
    "a LoRA": {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 32, 1, 1)},
    "a text encoder": {"text_model.encoder.layers.0.self_attn.k_proj.weight": (64, 64)},
    "a motion module": {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (32,)},
    "a ControlNet": {"control_model.input_hint_block.0.weight": (16, 3, 3, 3)},
    "Stable Video Diffusion": {"input_blocks.1.1.time_stack.0.norm1.weight": (32,)},
    "ModelScope": {"down_blocks.0.temp_convs.0.conv1.0.weight": (32,), "conv_in.weight": (32, 4, 3, 3)},
    "a diffusion transformer": {"double_blocks.0.img_attn.qkv.weight": (96, 32)},
    "a model unknown": {"body.0.weight": (64, 3, 3, 3)},
}
_LEVEL = "down_blocks.{}.resnets.{}.norm2.bias"
CHANGES: dict[str, Callable[[Weights], Weights]] = {
    "a hundred levels": lambda w: w | {_LEVEL.format(level, 0): torch.zeros(32) for level in range(100)},
    "thirty levels of thirty layers": lambda w: (
        w | {_LEVEL.format(level, layer): torch.zeros(32) for level in range(30) for layer in range(30)}
    ),
    "nine levels": lambda w: w | {_LEVEL.format(level, 0): torch.zeros(32) for level in range(9)},
    "a hundred layers": lambda w: w | {_LEVEL.format(level, 99): torch.zeros(32) for level in range(2)},
    "no tensor of a level": lambda w: {name: t for name, t in w.items() if "down_blocks.1." not in name},
    "a tensor missing": lambda w: {name: t for name, t in w.items() if name != "conv_norm_out.bias"},
    "half of the tensors": lambda w: dict(list(w.items())[::2]),
    "one tensor": lambda w: {"fps_embedding.linear_1.weight": w["fps_embedding.linear_1.weight"]},
    "a tensor too many": lambda w: w | {"extra.weight": torch.zeros(2)},
    "a tensor turned": lambda w: w | {"conv_in.weight": w["conv_in.weight"].transpose(0, 1).contiguous()},
    "a wider bias": lambda w: w | {"conv_in.bias": torch.zeros(33)},
    "counters missing": lambda w: {name: t for name, t in w.items() if "num_batches" not in name},
    "whole numbers": lambda w: w | {"conv_in.weight": w["conv_in.weight"].to(torch.int8)},
    "truth values": lambda w: w | {"conv_in.bias": torch.zeros(32, dtype=torch.bool)},
    "four channels in": lambda w: w | {"conv_in.weight": w["conv_in.weight"][:, :4].contiguous()},
    "no channels in": lambda w: w | {"conv_in.weight": torch.zeros(32, 0, 1, 3, 3)},
    "2**40 empty channels": lambda w: w | {"conv_in.weight": torch.zeros(0, 1 << 40, 1, 3, 3)},
    "a name in another case": lambda w: {name.replace("conv_in", "Conv_in"): t for name, t in w.items()},
    "averages alone": lambda w: {f"ema.{name}": t for name, t in w.items()},
    "a prefix": lambda w: {f"model.unet.{name}": t for name, t in w.items()},
}
METADATA = {
    "attention_heads": ("0", "-1", "7", "many", "9" * 5000, "1e400", "\x1b[31m8"),
    "norm_num_groups": ("0", "24", "nan"),
    "norm_eps": ("nan", "inf", "-1e-5", "1e300"),
    "prediction_type": ("sample", "v" * 100_000),
}
VALUES = {"NaN": math.nan, "infinity": math.inf, "minus infinity": -math.inf}


def cases() -> Iterator[Case]:
    for name, shapes in OTHERS.items():
        for file, pack in (("m.safetensors", safetensors_bytes), ("m.bin", zip_bytes)):
            tensors = {key: torch.zeros(shape) for key, shape in shapes.items()}
            write = lambda f, _, file=file, pack=pack, tensors=tensors: put(f / file, pack(tensors))  # noqa: E731
            yield Case("another model", f"{name}, {file}", write)
    for name, change in CHANGES.items():
        outcome = {"outcome": RIGHT} if name in ("averages alone", "a prefix") else {}
        yield Case("another network", name, lambda *a, change=change: _safetensors(*a, change), **outcome)
    for key, texts in METADATA.items():
        for text in texts:
            write = lambda *a, key=key, text=text: _with_metadata(*a, {key: text})  # noqa: E731
            yield Case("another network", f"{key} {text[:12]!r}", write)
    for what, value in VALUES.items():
        for file in CONTAINERS:
            yield Case("no numbers", f"{what} in {file}", lambda *a, v=value, file=file: _value(*a, v, file))
        for dtype in (torch.bfloat16, torch.float32, torch.float8_e5m2):
            write = lambda *a, v=value, dtype=dtype: _value(*a, v, "m.safetensors", dtype)  # noqa: E731
            yield Case("no numbers", f"{what} in {str(dtype).removeprefix('torch.')}", write)


def _safetensors(folder: Path, weights: Weights, change: Callable[[Weights], Weights]) -> Path:
    return put(folder / "m.safetensors", safetensors_bytes(change(weights)))


def _with_metadata(folder: Path, weights: Weights, metadata: dict[str, str]) -> Path:
    return put(folder / "m.safetensors", safetensors_bytes(weights, metadata))


def _value(folder: Path, weights: Weights, value: float, file: str, dtype: torch.dtype | None = None) -> Path:
    name = "mid_block.resnets.0.norm1.weight"
    tensor = weights[name].clone()
    tensor[7] = value
    return put(folder / file, CONTAINERS[file]({**weights, name: tensor.to(dtype or tensor.dtype)}))
