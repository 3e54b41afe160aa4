"""One progress bar and a preview over all clips of a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.utils
import latent_preview
from einops import rearrange
from torch import Tensor
from tqdm import tqdm

from ..m3ddm_core.outpaint import Progress

PREVIEW_FORMAT = "JPEG"
SHEET_ROWS = 4


Show = Callable[[int, int, Tensor | None], None]
"""``show(done, total, clip)``: how far the work has come, and clean latents (4, 16, h, w) to look at, if there are."""


@contextmanager
def progress_bar(patcher: Any, title: str, unit: str) -> Iterator[Show]:
    """Yield what moves ComfyUI's bar and the console's, and shows the clip being made."""
    bar = comfy.utils.ProgressBar(1)
    previewer = latent_preview.get_previewer(patcher.load_device, patcher.model.latent_format)
    with tqdm(desc=title, unit=unit, disable=not comfy.utils.PROGRESS_BAR_ENABLED) as console:

        def show(done: int, total: int, clip: Tensor | None) -> None:
            console.total = total
            console.update(done - console.n)
            preview = None
            if previewer is not None and clip is not None:
                preview = previewer.decode_latent_to_preview_image(PREVIEW_FORMAT, contact_sheet(clip))
            bar.update_absolute(done, total, preview)

        yield show


@contextmanager
def stage_progress(patcher: Any, title: str) -> Iterator[Callable[[Progress], None]]:
    """Yield the callback of a stage, which shows its progress."""
    with progress_bar(patcher, title, "step") as show:
        yield lambda progress: show(progress.done, progress.total, progress.denoised[0])


def contact_sheet(clip: Tensor) -> Tensor:
    """Lay the 16 frames of a clip (c, f, h, w) out in four rows, as one latent picture (1, c, 4h, 4w).

    ComfyUI's previewers show one picture: of anything with more axes they would show the first frame alone.
    """
    return rearrange(clip, "c (rows columns) h w -> 1 c (rows h) (columns w)", rows=SHEET_ROWS)
