"""A file of another kind is named for what it is."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from m3ddm_core.checkpoint import normalise, read_checkpoint
from tests.helpers.checkpoint_files import message

SD_LDM = {
    "input_blocks.0.0.weight": (320, 4, 3, 3),
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "out.2.weight": (4, 320, 3, 3),
}
SD_DIFFUSERS = {
    "conv_in.weight": (320, 4, 3, 3),
    "time_embedding.linear_1.weight": (1280, 320),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3),
}
VAE_LDM = {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}
CLIP = {"text_model.encoder.layers.0.self_attn.k_proj.weight": (768, 768)}
KINDS = [
    ("a plain Stable Diffusion 1.5 U-Net in ldm form", SD_LDM),
    ("a plain Stable Diffusion 1.5 U-Net in ldm form", {f"model.diffusion_model.{n}": s for n, s in SD_LDM.items()}),
    (
        "a plain Stable Diffusion 1.5 U-Net (inpainting variant) in ldm form",
        {**SD_LDM, "input_blocks.0.0.weight": (320, 9, 3, 3)},
    ),
    ("a plain Stable Diffusion 1.5 U-Net in diffusers form", SD_DIFFUSERS),
    (
        "a plain Stable Diffusion 2.x U-Net in diffusers form",
        {**SD_DIFFUSERS, "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
    ),
    (
        "a full Stable Diffusion checkpoint",
        {
            **{f"model.diffusion_model.{n}": s for n, s in SD_LDM.items()},
            **{f"first_stage_model.{n}": s for n, s in VAE_LDM.items()},
            **{f"cond_stage_model.transformer.{n}": s for n, s in CLIP.items()},
        },
    ),
    ("a full SDXL checkpoint", {**SD_LDM, "conditioner.embedders.0.transformer.x": (1,), "label_emb.0.0.weight": (1,)}),
    ("an SDXL U-Net", {**SD_LDM, "label_emb.0.0.weight": (1280, 2816)}),
    ("an SDXL U-Net", {**SD_DIFFUSERS, "add_embedding.linear_1.weight": (1280, 2816)}),
    ("a VAE", VAE_LDM),
    ("a VAE", {f"first_stage_model.{n}": s for n, s in VAE_LDM.items()}),
    ("a VAE", {"encoder.layers.0.weight": (64, 3, 3, 3), "decoder.layers.1.weight": (64, 4, 3, 3)}),
    ("a VAE", {"taesd_decoder.1.weight": (64, 4, 3, 3)}),
    ("a LoRA", {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 320, 1, 1)}),
    ("a LoRA", {"unet.down_blocks.0.attentions.0.to_q.lora_A.weight": (4, 320)}),
    ("a text or image encoder", CLIP),
    ("a text or image encoder", {"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096)}),
    ("an AnimateDiff motion module", {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}),
    ("a ControlNet", {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), **SD_LDM}),
    ("a Stable Video Diffusion U-Net", {**SD_LDM, "input_blocks.1.1.time_stack.0.norm1.weight": (320,)}),
    ("a text-to-video U-Net", {**SD_DIFFUSERS, "down_blocks.0.temp_convs.0.conv1.0.weight": (320,)}),
    ("a diffusion transformer", {"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}),
    ("a diffusion transformer", {"blocks.0.self_attn.q.weight": (1536, 1536)}),
    ("a model unknown here (its first tensors: body.0.weight)", {"body.0.weight": (64, 3, 3, 3)}),
    ("a file without any tensors", {}),
]


@pytest.mark.parametrize(("name", "shapes"), KINDS)
def test_other_kinds_are_recognised(name, shapes):
    text = message(normalise, {n: torch.zeros(()).expand(s) for n, s in shapes.items()})
    assert f"It looks like {name}" in text
    assert f"got {len(shapes):,} tensors, expected 1,516" in text


def test_a_wrong_file_is_named_with_its_remedy(tmp_path):
    path = tmp_path / "vae-ft-mse.safetensors"
    safetensors.torch.save_file({"encoder.conv_in.weight": torch.zeros(128, 3, 3, 3)}, path)
    text = message(read_checkpoint, path)
    assert text.startswith("vae-ft-mse.safetensors: not an M3DDM checkpoint: got 1 tensors, expected 1,516")
    assert "1,516 missing: conv_in.weight, conv_in.bias" in text
    assert "1 unexpected: encoder.conv_in.weight" in text
    assert "Load it as the VAE" in text
