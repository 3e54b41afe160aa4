"""How many clips a device has room for."""

from __future__ import annotations

from typing import Any

import comfy.model_management

from ...m3ddm_core.outpaint.plan import CLIP_LENGTH
from ...m3ddm_core.sampling.guidance import Branch
from ...m3ddm_core.sampling.settings import SamplingSettings

MOST_CLIPS = 64
HEADROOM = 1.5
"""Of the estimate, as ComfyUI takes it when it decides how many conditions to evaluate at once."""


def clips_at_once(patcher: Any, settings: SamplingSettings, height: int, width: int) -> int:
    """Number of clips of ``height`` x ``width`` latents to sample side by side: as set, or what there is room for.

    Room means that all branches of all clips fit in one evaluation, beside the weights and without other models
    making way. On a CPU it is one clip: measured, more of them take as much longer.
    """
    if settings.clips_per_batch > 0:
        return settings.clips_per_batch
    device = patcher.load_device
    if comfy.model_management.is_device_cpu(device):
        return 1
    weights_to_come = max(patcher.model_size() - patcher.loaded_size(), 0)
    reserved = comfy.model_management.extra_reserved_memory()
    room = comfy.model_management.get_free_memory(device) - weights_to_come - reserved

    def fits(clips: int) -> bool:
        shape = (clips * len(Branch), 4, CLIP_LENGTH, height, width)
        return patcher.model.memory_required(shape) * HEADROOM < room

    return max(filter(fits, range(1, MOST_CLIPS + 1)), default=1)
