"""Tells from tensor names and shapes what a file is that is not an M3DDM checkpoint, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Shape = tuple[int, ...]

WHERE_TO_GET = (
    "M3DDM's weights are the file diffusion_pytorch_model.bin that its authors (alimama-creative) publish, or one "
    "converted from it"
)

DOWNLOAD_AGAIN = "download it again and compare its size with the one published"

LONGEST_NAME = 80
LONGEST_MESSAGE = 2000


class CheckpointError(ValueError):
    """A file or state dict that cannot be used; the message says what was got, what was expected, and the remedy.

    Names out of a file go into it as they are: it is one line of printable characters, and not too long, whatever they
    hold. A terminal takes escape sequences for orders.
    """

    def __init__(self, message: str):
        super().__init__(shown(message, LONGEST_MESSAGE))


def shown(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a text with ``\\x1b`` and the like spelled out and, where it is too long, its middle left out."""
    # The end is kept too: in messages it is the remedy.
    text = text if len(text) <= longest else f"{text[: longest * 2 // 3]} ... {text[-(longest // 3) :]}"
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


class Kind(NamedTuple):
    """``name`` completes "it looks like ..."; ``remedy`` is a whole sentence."""

    name: str
    remedy: str


# The first entry of which every group has a part in some name decides; the specific come before the general.
_MARKERS: tuple[tuple[tuple[tuple[str, ...], ...], Kind], ...] = (
    (
        (("lora_down.", "lora_up.", "lora_A.", "lora_B.", ".lora.", "hada_w1", "lokr_w1"),),
        Kind("a LoRA", "Load M3DDM itself first and apply the LoRA to it, if it was trained for M3DDM."),
    ),
    (
        (("motion_modules.",),),
        Kind("an AnimateDiff motion module", f"It belongs to Stable Diffusion; {WHERE_TO_GET}."),
    ),
    (
        (("fps_embedding.", "global_img_encoder."),),
        Kind(
            "an M3DDM network that is incomplete or was changed",
            "Take the original file again, or the converter's source if another program converted this one.",
        ),
    ),
    (
        (("control_model.", "controlnet_cond_embedding.", "input_hint_block.", "controlnet_down_blocks."),),
        Kind("a ControlNet", f"It belongs to an image model; {WHERE_TO_GET}."),
    ),
    (
        (("conditioner.embedders.",),),
        Kind("a full SDXL checkpoint", f"Nothing of SDXL fits, its VAE included; {WHERE_TO_GET}."),
    ),
    (
        (("label_emb.", "add_embedding."), ("input_blocks.", "down_blocks.")),
        Kind("an SDXL U-Net", f"Nothing of SDXL fits; {WHERE_TO_GET}."),
    ),
    (
        (("time_stack.", "time_mixer.", "temporal_transformer_blocks."),),
        Kind("a Stable Video Diffusion U-Net", f"It is another video model; {WHERE_TO_GET}."),
    ),
    (
        (("temp_convs.", "temp_attentions.", "temopral_conv."),),
        Kind("a text-to-video U-Net (ModelScope, ZeroScope)", f"It is another video model; {WHERE_TO_GET}."),
    ),
    (
        (("input_blocks.",), ("first_stage_model.", "cond_stage_model.")),
        Kind(
            "a full Stable Diffusion checkpoint",
            f"Of a 1.x one only the VAE is needed, and it is loaded as a VAE; {WHERE_TO_GET}.",
        ),
    ),
    ((("input_blocks.",),), Kind("a plain Stable Diffusion{version} U-Net{variant} in ldm form", "{plain}")),
    (
        (("down_blocks.",), ("time_embedding.",)),
        Kind("a plain Stable Diffusion{version} U-Net{variant} in diffusers form", "{plain}"),
    ),
    (
        (("text_model.", "transformer.resblocks.", "SelfAttention.", "embed_tokens.", "vision_model."),),
        Kind("a text or image encoder (CLIP, T5)", f"M3DDM takes no text and needs none; {WHERE_TO_GET}."),
    ),
    (
        (("quant_conv.", "taesd_", "first_stage_model.", "encoder.conv_in.", "decoder.conv_in.", "decoder.layers."),),
        Kind("a VAE", f"Load it as the VAE, where M3DDM takes Stable Diffusion 1.x's; {WHERE_TO_GET}."),
    ),
    (
        (("double_blocks.", "joint_blocks.", ".self_attn.", "adaLN_modulation", "adaln_single."),),
        Kind("a diffusion transformer (Flux, Wan, SD 3 and the like)", f"It is another model; {WHERE_TO_GET}."),
    ),
)
_PLAIN_UNET = (
    "M3DDM started from such a U-Net but has layers over time and for global frames, which cannot be made up; "
    f"{WHERE_TO_GET}."
)
_VERSIONS = {768: " 1.5", 1024: " 2.x", 2048: " XL"}
_VARIANTS = {9: " (inpainting variant)", 8: " (instruction variant)"}


def recognise(shapes: Mapping[str, Shape]) -> Kind:
    """Say what the tensors named in ``shapes`` look like. Total: unknown and empty files are kinds as well."""
    if not shapes:
        return Kind("a file without any tensors", f"Check what wrote or downloaded it; {WHERE_TO_GET}.")
    for groups, kind in _MARKERS:
        if all(any(part in name for name in shapes for part in group) for group in groups):
            return Kind(
                kind.name.format(version=_version(shapes), variant=_variant(shapes)),
                kind.remedy.format(plain=_PLAIN_UNET),
            )
    first = ", ".join(shown(name) for name in list(shapes)[:3])
    return Kind(f"a model unknown here (its first tensors: {first})", f"{WHERE_TO_GET}.")


def _version(shapes: Mapping[str, Shape]) -> str:
    """Read the version off the width of the text tokens."""
    width = most_common(s[1] for n, s in shapes.items() if n.endswith("attn2.to_k.weight") and len(s) == 2)
    return _VERSIONS.get(width or 0, "")


def _variant(shapes: Mapping[str, Shape]) -> str:
    endings = ("input_blocks.0.0.weight", "conv_in.weight")
    channels = most_common(s[1] for n, s in shapes.items() if n.endswith(endings) and len(s) == 4)
    return _VARIANTS.get(channels or 0, "")


def most_common(numbers: Iterable[int]) -> int | None:
    """Return the number that occurs most often, None where there is none."""
    ranking = Counter(numbers).most_common(1)
    return ranking[0][0] if ranking else None
