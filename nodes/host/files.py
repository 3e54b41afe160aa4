"""Files of weights: checked by the core, then mapped as ComfyUI maps its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.utils
from torch import Tensor

from ...m3ddm_core.checkpoint.read import open_safetensors

SUFFIXES = (".safetensors", ".sft")
"""By which ComfyUI tells a safetensors file; the core looks inside."""


def as_comfyui() -> dict[str, Any]:
    """Return the options with which the core's readers read files as ComfyUI was started to read them."""
    return {"safetensors": _open_safetensors, "mapped": not comfy.utils.DISABLE_MMAP}


def _open_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """Map a checked file. ComfyUI's tensors remember where in it they lie: weights may be fetched from there."""
    if not path.name.lower().endswith(SUFFIXES):
        return open_safetensors(path)
    return comfy.utils.load_torch_file(str(path), return_metadata=True)
