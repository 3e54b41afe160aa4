"""M3DDM as a model of ComfyUI's own kind, so that its patcher loads, casts, offloads and patches it."""

from __future__ import annotations

import math
from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.supported_models_base
import torch
from comfy.ldm.modules.attention import optimized_attention, wrap_attn
from comfy.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from torch import Tensor

from ...m3ddm_core.journal.weights import WeightsFile
from ...m3ddm_core.sampling.advice import Advice
from ...m3ddm_core.sampling.clip import ClipConditions
from ...m3ddm_core.sampling.guidance import Branch
from ...m3ddm_core.unet import M3DDMUNet, UNetConfig, cpu
from .patches import Notices, unheeded_in_network

ACTIVATION_WIDTHS = 40
"""Peak memory of a forward pass in units of its finest feature map (frames x height x width x first width). The tensors
of the full-size network take 27.1 of them at once, on any canvas: the gated feed-forward of the finest level, its input
and output, and the skips waiting for their turn. The rest is what allocators and kernels keep for themselves: 38.8 were
measured in all, in float32 on 32x32 latents."""

PICTURE = 4
"""Dimensions of what the layout of ``--force-channels-last`` is made for."""


@wrap_attn
def attention_on_cpu(q: Tensor, k: Tensor, v: Tensor, heads: int, **options: Any) -> Tensor:
    """The core's own, open to the same overrides as ComfyUI's, whose signature it has."""
    return cpu.attention(q, k, v, heads)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict) -> Tensor:
    """The attention that ComfyUI was started with; on a CPU, where that takes up to three times as long, the core's."""
    attend = attention_on_cpu if q.device.type == "cpu" else optimized_attention
    return attend(q, k, v, heads, transformer_options=transformer_options)


class HostedUNet(M3DDMUNet):
    """The network as ComfyUI calls it, with ComfyUI's layers and attention."""

    def __init__(self, config: UNetConfig, *, dtype: torch.dtype, device: Any, operations: Any):
        super().__init__(config, operations=cpu.tuned(operations), attention=attention, dtype=dtype, device=device)
        self.notices = Notices()

    def to(self, *args: Any, memory_format: torch.memory_format | None = None, **kwargs: Any) -> HostedUNet:
        """Move or cast as modules do. ``--force-channels-last`` asks for a layout that only weights of pictures can
        take: the rest, such as the input convolution's of five dimensions, stay as they are.
        """
        super().to(*args, **kwargs)
        if memory_format is not None:
            for weight in self.parameters():
                if weight.ndim == PICTURE:
                    weight.data = weight.data.to(memory_format=memory_format)
        return self

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        control: Any = None,
        transformer_options: dict | None = None,
        *,
        fps: Tensor,
    ) -> Tensor:
        if control is not None:
            raise ValueError("got a ControlNet, but M3DDM has none that fits its video layers; remove it")
        options = transformer_options if transformer_options is not None else {}
        for patch in unheeded_in_network(options):
            self.notices.ineffective(patch, "it changes layers of other networks")
        network = WrapperExecutor.new_class_executor(
            super().forward, self, get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)
        )
        # By place, and the options last: so the wrappers of ComfyUI's own nodes find them.
        return network.execute(x, timesteps, context, fps, options)


class M3DDMConfig(comfy.supported_models_base.BASE):
    """What ComfyUI asks about a model family. ``linear`` is ComfyUI's name for Stable Diffusion's scaled-linear."""

    unet_extra_config: dict = {}
    latent_format = comfy.latent_formats.SD15
    sampling_settings = {"beta_schedule": "linear", "linear_start": 0.00085, "linear_end": 0.012}

    def __init__(self, config: UNetConfig, prediction_type: str, advice: Advice, weights: WeightsFile):
        super().__init__({"config": config})
        self.prediction_type = prediction_type
        self.advice = advice
        self.weights = weights

    def model_type(self, state_dict: dict, prefix: str = "") -> comfy.model_base.ModelType:
        return {
            "epsilon": comfy.model_base.ModelType.EPS,
            "v_prediction": comfy.model_base.ModelType.V_PREDICTION,
        }[self.prediction_type]

    def get_model(self, state_dict: dict, prefix: str = "", device: Any = None) -> M3DDM:
        return M3DDM(self, self.model_type(state_dict, prefix), device=device)


class M3DDM(comfy.model_base.BaseModel):
    """Conditions are dictionaries with ComfyUI's ``concat_latent_image`` and ``concat_mask`` (raw latents and mask of
    the clip's frames, (b, 4, f, h, w) and (b, 1, f, h, w)), ``global_latents`` (raw, (g, 4, h, w)) and ``fps``.
    """

    def __init__(self, model_config: M3DDMConfig, model_type: comfy.model_base.ModelType, device: Any = None):
        super().__init__(model_config, model_type, device=device, unet_model=HostedUNet)
        self.concat_keys = ("masked_image", "mask")

    def extra_conds(self, **kwargs: Any) -> dict[str, comfy.conds.CONDRegular]:
        """Encode one condition; the tokens of its global frames are made here, once for all steps."""
        missing = {"concat_latent_image", "concat_mask", "global_latents", "fps"}.difference(kwargs)
        if missing or kwargs["noise"].ndim != 5:
            raise ValueError(
                f"got a condition without {', '.join(sorted(missing)) or 'frames'}: an M3DDM model cannot be sampled "
                "by KSampler or another sampler from text prompts. Connect it to M3DDM Sample Keyframes, M3DDM Sample "
                "Interpolation and M3DDM Sample Infill, or take conditionings and latent from M3DDM Clip Conditioning"
            )
        out = super().extra_conds(**kwargs)
        latents = self.process_latent_in(kwargs["global_latents"]).to(kwargs["device"], self.get_dtype_inference())
        out["c_crossattn"] = comfy.conds.CONDCrossAttn(self.diffusion_model.encode_global(latents[None]))
        out["fps"] = comfy.conds.CONDRegular(torch.tensor([kwargs["fps"]], dtype=torch.int64))
        return out

    def memory_required(self, input_shape: Any, cond_shapes: dict | None = None) -> float:
        """Bytes that a forward pass over noisy latents (b, 4, f, h, w) needs beside the weights."""
        positions = input_shape[0] * math.prod(input_shape[2:])
        width = self.diffusion_model.config.block_out_channels[0]
        return positions * width * self.get_dtype_inference().itemsize * ACTIVATION_WIDTHS


def condition(conditions: ClipConditions, branch: Branch) -> dict[str, Any]:
    """What one branch of the guidance shows the network, as options of a CONDITIONING: see `M3DDM`."""
    video, global_latents = conditions.inputs(branch)
    to_raw = M3DDMConfig.latent_format().process_out
    return {
        "concat_latent_image": to_raw(video[:, :-1]),
        "concat_mask": video[:, -1:],
        "global_latents": to_raw(global_latents),
        "fps": conditions.fps,
    }


def advice_of(patcher: Any) -> Advice:
    """What the checkpoint of a MODEL, which must be of ours, says that it is best used with."""
    return patcher.model.model_config.advice


def notices_of(patcher: Any) -> Notices:
    """What the network of a MODEL, which must be of ours, has said of patches; nothing yet, for a run begins."""
    notices = patcher.model.diffusion_model.notices
    notices.clear()
    return notices


def require_m3ddm(patcher: Any) -> None:
    """Raise ``ValueError`` where another kind of MODEL is connected."""
    if isinstance(patcher.model, M3DDM):
        return
    found = type(patcher.model)
    if found.__name__ == M3DDM.__name__:
        folder, ours = (kind.__module__.removesuffix(".nodes.host.model") for kind in (found, M3DDM))
        raise ValueError(
            f"got a MODEL of another copy of this pack ({folder}), expected one of {ours}; two copies are installed: "
            "remove one of them from custom_nodes and start ComfyUI again"
        )
    raise ValueError(f"got a MODEL of kind {found.__name__}, expected M3DDM; load it with M3DDM Load Checkpoint")
