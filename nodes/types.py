"""The sockets that the nodes share."""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "M3DDM"

State = io.Custom("M3DDM_STATE")
GlobalFrames = io.Custom("M3DDM_GLOBAL_FRAMES")
PlacementSocket = io.Custom("M3DDM_PLACEMENT")
SamplingSettings = io.Custom("M3DDM_SAMPLING")
