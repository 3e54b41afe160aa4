"""Sockets that the nodes share."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

CATEGORY = "M3DDM"

_PACK = Path(__file__).resolve().parents[2]
DEMO_MODELS = str(_PACK / "models")
"""The folder of the small models that come with the pack."""
DEMO_CLIP = str(_PACK / "assets" / "big_buck_bunny.mp4")
"""The clip that comes with the pack."""

State = io.Custom("M3DDM_STATE")
GlobalFramesSocket = io.Custom("M3DDM_GLOBAL_FRAMES")
PlacementSocket = io.Custom("M3DDM_PLACEMENT")
SamplingSocket = io.Custom("M3DDM_SAMPLING")
SeenSocket = io.Custom("M3DDM_SEEN")
FleetSocket = io.Custom("M3DDM_FLEET")
