"""Stand-ins for the files that the templates name: the pack's own small models under those names, and others that hold
nothing but zeros, which show that a graph runs and not what it makes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from devtools import templates, workflow
from devtools.client import Prompt
from devtools.weights import DEMO

# Too large to stand in for. They are there so that the templates which name them are whole, and make nothing.
NAMED_ONLY = (
    Path("checkpoints", "sam3.1_multiplex_fp16.safetensors"),
    Path("diffusion_models", "seedvr2_3b_int8_convrot.safetensors"),
    Path("vae", "seedvr2_ema_vae_fp16.safetensors"),
)
UPSCALER = Path("upscale_models", "RealESRGAN_x4plus.safetensors")
INTERPOLATOR = Path("frame_interpolation", "rife_v4.26.safetensors")
INPAINTER = Path("checkpoints", "sd-v1-5-inpainting.ckpt")
CLIP_SIZE = (288, 360)


def provide(base: Path) -> None:
    """Put all files that the templates name into a server's folders, but for those that are there already."""
    templates.provide(base, DEMO.checkpoint, DEMO.vae)
    made = ((UPSCALER, write_upscaler), (INTERPOLATOR, write_interpolator), (INPAINTER, write_inpainter))
    for name, write in (*made, *((name, write_nothing) for name in NAMED_ONLY)):
        file = base / "models" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            write(file)


def leave_out_large_models(prompt: Prompt) -> None:
    """Wire a prompt past the parts that such a model works in: nothing is masked, and what was to be restored is only
    scaled. What no output needs is not run."""
    if workflow.of_type(prompt, "SAM3_TrackToMask"):
        width, height = CLIP_SIZE
        workflow.replace(prompt, "SAM3_TrackToMask", "SolidMask", value=0.0, width=width, height=height)
    for preview in workflow.of_type(prompt, "SAM3_TrackPreview"):
        del prompt[preview]
    for restored in workflow.of_type(prompt, "SeedVR2PostProcessing"):
        larger = prompt[restored]["inputs"]["original_resized_images"]
        for node in workflow.of_type(prompt, "CreateVideo"):
            prompt[node]["inputs"]["images"] = larger


def write_nothing(file: Path) -> None:
    """A file with a tensor that belongs to no model."""
    save_file({"nothing": torch.zeros(1)}, file)


def write_upscaler(file: Path) -> None:
    """A compact Real-ESRGAN of factor 4 and one hidden layer. What its layers add is zero: it repeats pixels."""
    width, scale = 4, 4
    shapes = {
        "body.0.weight": (width, 3, 3, 3),
        "body.0.bias": (width,),
        "body.1.weight": (width,),
        "body.2.weight": (width, width, 3, 3),
        "body.2.bias": (width,),
        "body.3.weight": (width,),
        "body.4.weight": (3 * scale**2, width, 3, 3),
        "body.4.bias": (3 * scale**2,),
    }
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, file)


def write_interpolator(file: Path) -> None:
    """A RIFE of version 4.25 or later its blocks two wide. It sees no movement: it makes the mean of two frames."""
    head, width, features = 1, 2, 16
    first, later = 2 * (3 + head) + 1, 2 * (3 + head) + 1 + 1 + 8 + 4  # frames, heads, time; mask, features, flow
    shapes: dict[str, tuple[int, ...]] = {
        "encode.cnn0": (features, 3, 3, 3),
        "encode.cnn1": (features, features, 3, 3),
        "encode.cnn2": (features, features, 3, 3),
    }
    # A transposed convolution: its outputs come second.
    transposed: dict[str, tuple[int, ...]] = {"encode.cnn3": (features, head, 4, 4)}
    tensors = {}
    for block in range(5):
        shapes[f"block{block}.conv0.0.0"] = (width // 2, first if block == 0 else later, 3, 3)
        shapes[f"block{block}.conv0.1.0"] = (width, width // 2, 3, 3)
        transposed[f"block{block}.lastconv.0"] = (width, 4 * 13, 4, 4)
        for layer in range(8):
            shapes[f"block{block}.convblock.{layer}.conv"] = (width, width, 3, 3)
            tensors[f"block{block}.convblock.{layer}.beta"] = torch.zeros(1, width, 1, 1)
    for name, shape in {**shapes, **transposed}.items():
        tensors[f"{name}.weight"] = torch.zeros(shape)
        tensors[f"{name}.bias"] = torch.zeros(shape[1 if name in transposed else 0])
    save_file(tensors, file)


def write_inpainter(file: Path) -> None:
    """A Stable Diffusion 1.5 inpainting checkpoint with one level in place of four, and the pack's small VAE.

    Every tensor of zeros is one zero seen from many places, so that the file stays small.
    """
    shapes = {f"model.diffusion_model.{name}": shape for name, shape in unet_shapes().items()}
    shapes |= {
        f"cond_stage_model.transformer.text_model.{name}": shape for name, shape in text_encoder_shapes().items()
    }
    zero = torch.zeros(1, dtype=torch.float16)
    tensors = {name: zero.view([1] * len(shape)).expand(shape) for name, shape in shapes.items()}
    tensors |= {f"first_stage_model.{name}": tensor for name, tensor in load_file(DEMO.vae).items()}
    torch.save({"state_dict": tensors}, file)


def unet_shapes() -> dict[str, tuple[int, ...]]:
    """Nine channels in, four out, 320 wide, text of width 768: by these ComfyUI knows a Stable Diffusion 1.5."""
    width, text, time = 320, 768, 1280
    square = (width, width)

    def with_bias(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}

    def residual(name: str, channels: int = width) -> dict[str, tuple[int, ...]]:
        skip = {} if channels == width else with_bias(f"{name}.skip_connection", width, channels, 1, 1)
        return {
            **with_bias(f"{name}.in_layers.0", channels),
            **with_bias(f"{name}.in_layers.2", width, channels, 3, 3),
            **with_bias(f"{name}.emb_layers.1", width, time),
            **with_bias(f"{name}.out_layers.0", width),
            **with_bias(f"{name}.out_layers.3", *square, 3, 3),
            **skip,
        }

    def transformer(name: str) -> dict[str, tuple[int, ...]]:
        block = f"{name}.transformer_blocks.0"
        shapes = {**with_bias(f"{name}.norm", width), **with_bias(f"{name}.proj_in", *square, 1, 1)}
        for attention, keys in (("attn1", width), ("attn2", text)):
            shapes |= {
                f"{block}.{attention}.to_q.weight": square,
                **with_bias(f"{block}.{attention}.to_out.0", *square),
            }
            shapes |= {f"{block}.{attention}.to_{part}.weight": (width, keys) for part in "kv"}
        for number in (1, 2, 3):
            shapes |= with_bias(f"{block}.norm{number}", width)
        shapes |= with_bias(f"{block}.ff.net.0.proj", 8 * width, width)
        return {
            **shapes,
            **with_bias(f"{block}.ff.net.2", width, 4 * width),
            **with_bias(f"{name}.proj_out", *square, 1, 1),
        }

    return {
        **with_bias("time_embed.0", time, width),
        **with_bias("time_embed.2", time, time),
        **with_bias("input_blocks.0.0", width, 9, 3, 3),
        **residual("input_blocks.1.0"),
        **transformer("input_blocks.1.1"),
        **residual("middle_block.0"),
        **transformer("middle_block.1"),
        **residual("middle_block.2"),
        **residual("output_blocks.0.0", 2 * width),
        **transformer("output_blocks.0.1"),
        **residual("output_blocks.1.0", 2 * width),
        **transformer("output_blocks.1.1"),
        **with_bias("out.0", width),
        **with_bias("out.2", 4, width, 3, 3),
    }


def text_encoder_shapes() -> dict[str, tuple[int, ...]]:
    """CLIP's text model of ViT-L/14: the host builds all of it, whatever a checkpoint holds."""
    width, hidden = 768, 3072
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.token_embedding.weight": (49408, width),
        "embeddings.position_embedding.weight": (77, width),
        "final_layer_norm.weight": (width,),
        "final_layer_norm.bias": (width,),
    }
    parts = {
        **{f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")},
        **{f"layer_norm{number}": (width,) for number in (1, 2)},
        "mlp.fc1": (hidden, width),
        "mlp.fc2": (width, hidden),
    }
    for layer in range(12):
        for name, shape in parts.items():
            shapes |= {f"encoder.layers.{layer}.{name}.weight": shape, f"encoder.layers.{layer}.{name}.bias": shape[:1]}
    return shapes
