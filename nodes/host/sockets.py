"""Sockets that the nodes share."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

CATEGORY = "M3DDM"

DEMO_MODELS = str(Path(__file__).resolve().parents[2] / "models")
"""The folder of the small models that come with the pack."""

State = io.Custom("M3DDM_STATE")
GlobalFramesSocket = io.Custom("M3DDM_GLOBAL_FRAMES")
PlacementSocket = io.Custom("M3DDM_PLACEMENT")
SamplingSocket = io.Custom("M3DDM_SAMPLING")
