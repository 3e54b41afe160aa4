"""Sockets and settings that the nodes share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comfy_api.latest import io

from ...m3ddm_core.sampling.settings import Effort

CATEGORY = "M3DDM"

DEMO_MODELS = str(Path(__file__).resolve().parents[2] / "models")
"""The folder of the small models that come with the pack."""

State = io.Custom("M3DDM_STATE")
GlobalFramesSocket = io.Custom("M3DDM_GLOBAL_FRAMES")
PlacementSocket = io.Custom("M3DDM_PLACEMENT")
SamplingSocket = io.Custom("M3DDM_SAMPLING")


@dataclass(frozen=True)
class Sampling(Effort):
    """How clips are sampled; the defaults are the release's. ``clips_per_batch`` 0: as many as there is room for."""

    context_scale: float = 2.0
    global_scale: float = 4.0
    denoise: float = 1.0
    guide_noise: int = 0
    clips_per_batch: int = 1
