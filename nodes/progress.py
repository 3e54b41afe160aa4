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


@contextmanager
def stage_progress(patcher: Any, title: str) -> Iterator[Callable[[Progress], None]]:
    """Yield the callback of a stage: it moves ComfyUI's bar and the console's, and shows the clip being made."""
    bar = comfy.utils.ProgressBar(1)
    previewer = latent_preview.get_previewer(patcher.load_device, patcher.model.latent_format)
    with tqdm(desc=title, unit="step", disable=not comfy.utils.PROGRESS_BAR_ENABLED) as console:

        def report(progress: Progress) -> None:
            console.total = progress.total
            console.update(progress.done - console.n)
            preview = None
            if previewer is not None:
                sheet = contact_sheet(progress.denoised[0])
                preview = previewer.decode_latent_to_preview_image(PREVIEW_FORMAT, sheet)
            bar.update_absolute(progress.done, progress.total, preview)

        yield report


def contact_sheet(clip: Tensor) -> Tensor:
    """Lay the 16 frames of a clip (c, f, h, w) out in four rows, as one latent picture (1, c, 4h, 4w).

    ComfyUI's previewers show one picture: of anything with more axes they would show the first frame alone.
    """
    return rearrange(clip, "c (rows columns) h w -> 1 c (rows h) (columns w)", rows=SHEET_ROWS)
