"""Sockets and settings that the nodes share."""

from __future__ import annotations

from dataclasses import dataclass

from comfy_api.latest import io

CATEGORY = "M3DDM"

State = io.Custom("M3DDM_STATE")
GlobalFramesSocket = io.Custom("M3DDM_GLOBAL_FRAMES")
PlacementSocket = io.Custom("M3DDM_PLACEMENT")
SamplingSocket = io.Custom("M3DDM_SAMPLING")

PNDM = "pndm"
"""The reference's sampler, offered beside ComfyUI's own."""


@dataclass(frozen=True)
class Sampling:
    """How clips are sampled; the defaults are the release's."""

    steps: int = 50
    sampler: str = PNDM
    scheduler: str = "normal"
    context_scale: float = 2.0
    global_scale: float = 4.0
    denoise: float = 1.0
    guide_noise: int = 0
    clips_per_batch: int = 1
