"""The M3DDM U-Net; imports nothing of the rest of the core."""

from __future__ import annotations

from . import cpu
from .attention import Attention
from .config import M3DDM_CONFIG, UNetConfig
from .model import M3DDMUNet
from .scaled_dot_product import sdpa

__all__ = ["M3DDM_CONFIG", "Attention", "M3DDMUNet", "UNetConfig", "cpu", "sdpa"]
