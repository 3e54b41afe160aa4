"""The M3DDM U-Net; imports nothing of the rest of the core."""

from __future__ import annotations

from .config import M3DDM_CONFIG, UNetConfig

__all__ = ["M3DDM_CONFIG", "UNetConfig"]
