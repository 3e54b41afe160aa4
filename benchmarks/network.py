"""The two sides of the benchmark: this pack's guided step and the published code's, on equal weights and inputs."""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from m3ddm_core.canvas.placement import LATENT_SCALE
from m3ddm_core.sampling.clip import Branches, ClipConditions, guided_noise
from m3ddm_core.sampling.guidance import Branch, Guidance
from m3ddm_core.sampling.schedule import noise_level
from m3ddm_core.unet import M3DDM_CONFIG, M3DDMUNet

PUBLISHED_CONFIG = Path(__file__).absolute().parents[1] / "tests" / "golden" / "full_size_state_dict.json"
WIDTHS = {"full": M3DDM_CONFIG.block_out_channels, "small": (32, 32, 64, 64)}
SCALES = CONTEXT_SCALE, GLOBAL_SCALE = 2.0, 4.0
BRANCH_SCALES = {Branch.FULL: (1.0, 1.0), Branch.MASKED_VIDEO: (1.0, 0.0), Branch.UNCONDITIONAL: (0.0, 0.0)}
"""Scales at which one branch alone has weight."""
FPS = 8
GLOBAL_FRAMES, GLOBAL_SIZE = 16, 32

Step = Callable[[Tensor, int], Tensor]
"""``step(x (1, 4, f, h, w), timestep)`` to the noise under guidance, of the same shape."""


@dataclass(frozen=True)
class Side:
    """One implementation: its network, how it makes a guided step of a clip, and the evaluations that one takes."""

    network: torch.nn.Module
    step: Callable[..., Step]
    """``step(conditions)``."""
    evaluations: int


def inputs(frames: int, size: int, dtype: torch.dtype, device: str) -> tuple[ClipConditions, Tensor, Tensor]:
    """Seeded conditions, start latents and noise of a clip of ``frames`` frames of ``size`` pixels, left half known."""
    draw = torch.Generator().manual_seed(2309)
    side = size // LATENT_SCALE
    start, noise = (torch.randn((1, 4, frames, side, side), generator=draw) for _ in range(2))
    mask = torch.ones(1, 1, frames, side, side)
    mask[..., : side // 2] = 0
    black = torch.full_like(start, -0.5)
    conditions = ClipConditions(
        masked_video=torch.cat([torch.where(mask > 0, black, start), mask], dim=1).to(device, dtype),
        blank_video=torch.cat([black, torch.ones_like(mask)], dim=1).to(device, dtype),
        global_latents=torch.randn((GLOBAL_FRAMES, 4, GLOBAL_SIZE, GLOBAL_SIZE), generator=draw).to(device, dtype),
        fps=FPS,
    )
    return conditions, start.to(device, dtype), noise.to(device, dtype)


def ours(widths: tuple[int, ...], dtype: torch.dtype, device: str, scales: tuple[float, float] = SCALES) -> Side:
    """This pack's network: as many branches as the scales need, the tokens of the global frames made once a clip."""
    network = M3DDMUNet(replace(M3DDM_CONFIG, block_out_channels=widths), dtype=dtype, device="meta").eval()
    guidance = Guidance(*scales)

    def step_of(conditions: ClipConditions) -> Step:
        predict = guided_noise(Branches(network, conditions), guidance, ())
        return lambda x, timestep: predict(x, noise_level(timestep))

    needed = sum(weight != 0 for weight in guidance.weights(inside=True).values())
    return Side(seeded(network, dtype, device), step_of, evaluations=needed)


def published(checkout: Path, widths: tuple[int, ...], dtype: torch.dtype, device: str) -> Side:
    """The published network of a checkout of its repository: four branches in one batch, everything anew each step."""
    sources = checkout / "src" if (checkout / "src").is_dir() else checkout
    sys.path.insert(0, str(sources))
    from model.unet_3d_condition_video import UNet3DConditionModel

    config = json.loads(PUBLISHED_CONFIG.read_text())["config"]
    with torch.device("meta"):
        network = UNet3DConditionModel(**{**config, "block_out_channels": widths}).to(dtype).eval()

    def step_of(conditions: ClipConditions) -> Step:
        b, _, f = conditions.masked_video.shape[:3]
        known_pairs = torch.cat([conditions.blank_video, conditions.masked_video] * 2)

        def step(x: Tensor, timestep: int) -> Tensor:
            nothing, context, _, full = network(
                torch.cat([x.expand(4, -1, -1, -1, -1), known_pairs], dim=1),
                torch.tensor(timestep, device=x.device),
                b=b,
                g=len(conditions.global_latents),
                f=f,
                do_classfier=4,
                encoder_hidden_states=conditions.global_latents,
                fps=torch.tensor(conditions.fps, device=x.device),
            ).sample.chunk(4)
            return nothing + CONTEXT_SCALE * (context - nothing) + GLOBAL_SCALE * (full - context)

        return step

    return Side(seeded(network, dtype, device), step_of, evaluations=4)


def seeded(network: torch.nn.Module, dtype: torch.dtype, device: str) -> torch.nn.Module:
    """Give a network on the meta device weights drawn by tensor name, so that both sides have the same.

    Their scale keeps every layer's output near one: all of the network takes part, as it does after training.
    """
    if device == "meta":
        return network
    state = {}
    for name, tensor in network.state_dict().items():
        state[name] = seeded_tensor(name, tensor).to(device)
    network.load_state_dict(state, assign=True)
    leftovers = [name for name, buffer in network.named_buffers() if buffer.is_meta]
    if leftovers:
        raise RuntimeError(f"got buffers that no weight file holds: {', '.join(leftovers)}; expected none")
    return network.requires_grad_(False)


def seeded_tensor(name: str, like: Tensor) -> Tensor:
    """A weight of a tensor's shape and dtype, on the CPU, drawn from a generator seeded by its name."""
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    drawn = torch.randn(like.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if like.ndim >= 2:
        drawn *= 0.8 / math.prod(like.shape[1:]) ** 0.5
    elif name.endswith("running_var"):
        drawn = 1 + 0.2 * drawn.abs()
    else:
        drawn = 0.1 * drawn + (1.0 if name.endswith("weight") else 0.0)
    return drawn.to(like.dtype)
