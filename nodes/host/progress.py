"""What a node shows while it works: ComfyUI's bar, a preview of the clip being made, and a line with the time left."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import comfy.utils
import latent_preview
import torch
from comfy_execution.utils import get_executing_context
from einops import rearrange
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ...m3ddm_core.outpaint.stages import Progress
from ...m3ddm_core.outpaint.time_left import Pace, spoken, time_left
from ...m3ddm_core.vae import Encode
from ...m3ddm_core.video.progress import Report, Standing, frame_report

PREVIEW_FORMAT = "JPEG"
SHEET_ROWS = SHEET_COLUMNS = 4
"""Of 16 frames, always. The frontend's part (web/live_preview.js) takes the sheets apart by the same numbers."""
SHEET_MARGIN = 2
SECONDS_BETWEEN_TEXTS = 1.0
LINE = 34
"""Letters that a node of usual width has room for: the frontend breaks longer lines within words."""
VIDEO_TICKS = 10_000


class NodeText:
    """The line of text that the browser shows on the node that is running.

    Texts that come quickly are left out. Where no server is, or no node runs, nothing is sent.
    """

    def __init__(self) -> None:
        context = get_executing_context()
        self._node = context.node_id if context else None
        # Looked up, not imported: in a process without a server the module is not there, or has made none.
        self._server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
        self._sent: float | None = None

    def tell(self, text: str) -> None:
        """Show a text, if the one before has been there for a second."""
        if self._sent is None or time.monotonic() - self._sent >= SECONDS_BETWEEN_TEXTS:
            self.end(text)

    def end(self, text: str) -> None:
        """Show a text that is to stay."""
        self._sent = time.monotonic()
        if self._server is not None and self._node is not None:
            self._server.send_progress_text(textwrap.fill(text, LINE), self._node)


class Bar:
    """ComfyUI's bar and the console's, the preview, and the text."""

    def __init__(self, patcher: Any, console: tqdm):
        self._bar = comfy.utils.ProgressBar(1)
        self._previewer = latent_preview.get_previewer(patcher.load_device, patcher.model.latent_format)
        self._console = console
        self.text = NodeText()
        self.latent_rgb: Tensor | None = None
        """What the latents look like that are shown, as `OutpaintState` has it, if it is known."""

    def show(self, done: int, total: int, clip: Tensor | None, text: str) -> None:
        """How far the work has come, clean latents (4, 16, h, w) to look at, if there are, and what to say."""
        self._console.total = total
        self._console.update(done - self._console.n)
        preview = None
        if self._previewer is not None and clip is not None:
            previewer = in_colours(self._previewer, self.latent_rgb)
            sheet = previewer.decode_latent_to_preview_image(PREVIEW_FORMAT, contact_sheet(clip))
            preview = sheet and even(sheet, clip.shape[-1], clip.shape[-2])
        self._bar.update_absolute(done, total, preview)
        self.text.tell(text)


@contextmanager
def progress_bar(patcher: Any, title: str, unit: str) -> Iterator[Bar]:
    """Yield what shows the progress of some work."""
    with tqdm(desc=title, unit=unit, disable=not comfy.utils.PROGRESS_BAR_ENABLED) as console:
        bar = Bar(patcher, console)
        try:
            yield bar
        except BaseException:
            bar.text.end("stopped")
            raise


@contextmanager
def stage_progress(patcher: Any, title: str, latent_rgb: Tensor | None = None) -> Iterator[Callable[[Progress], None]]:
    """Yield the callback of a stage, which shows its progress."""
    pace, begun, count, taken = Pace(), time.monotonic(), 0, 0
    with progress_bar(patcher, title, "step") as bar:
        bar.latent_rgb = latent_rgb

        def report(progress: Progress) -> None:
            nonlocal count, taken
            count = progress.clip_count
            if progress.taken:
                # How long sampling takes is not to be judged by clips that took none of it.
                pace.pause()
                taken += len(progress.clips)
            pace.reached(progress.done / progress.steps)
            left = time_left(pace.seconds_for((progress.total - progress.done) / progress.steps))
            bar.show(
                progress.done, progress.total, progress.denoised[0], f"clip {progress.clip_number} of {count}{left}"
            )

        yield report
        clips = f"{count} clip{'s' if count > 1 else ''} in {spoken(time.monotonic() - begun)}"
        earlier = f", {taken} of them made by an earlier run" if taken else ""
        bar.text.end(f"{clips}{earlier}" if count else "nothing left to sample")


def frames_bar(count: int) -> Callable[[int], None]:
    """Make what moves ComfyUI's bar over ``count`` frames, told how many are done, and heeds its stop button."""
    bar = comfy.utils.ProgressBar(count)

    def report(done: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, count)

    return report


def telling(encode: Encode, count: int) -> Encode:
    """An encoder that moves ComfyUI's bar over the ``count`` frames that it is to be given, some at a time."""
    report, done = frames_bar(count), 0

    def encode_and_tell(frames: Tensor) -> Tensor:
        nonlocal done
        latents = encode(frames)
        done += len(frames)
        report(done)
        return latents

    return encode_and_tell


@contextmanager
def frame_progress(what: str, count: int) -> Iterator[tuple[Callable[[int], None], NodeText]]:
    """Yield the callback for work on ``count`` frames, see `frame_report`, and the node's text for the end.

    The callback moves ComfyUI's bar, and heeds its button for stopping.
    """
    bar, text = comfy.utils.ProgressBar(count), NodeText()

    def report(standing: Standing) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(standing.share * count), count)
        text.tell(standing.text)

    try:
        yield frame_report(report, what, count), text
    except BaseException:
        text.end("stopped")
        raise


def video_report(bar: Bar) -> Report:
    """Make what shows the standing of a whole video's work, and heeds ComfyUI's button for stopping."""

    def report(standing: Standing) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.latent_rgb = standing.latent_rgb
        bar.show(round(standing.share * VIDEO_TICKS), VIDEO_TICKS, standing.clip, standing.text)

    return report


def in_colours(previewer: Any, latent_rgb: Tensor | None) -> Any:
    """The previewer, or one by the line of this video's own latents in place of that of Stable Diffusion's.

    ComfyUI's *latent2rgb* draws every VAE's latents as if they came from the published one.
    """
    if latent_rgb is None or type(previewer) is not latent_preview.Latent2RGBPreviewer:
        return previewer
    # ComfyUI's pictures go from -1 to 1.
    factors, bias = 2 * latent_rgb[:-1], 2 * latent_rgb[-1] - 1
    return latent_preview.Latent2RGBPreviewer(factors.tolist(), bias.tolist())


def contact_sheet(clip: Tensor) -> Tensor:
    """Lay the 16 frames of a clip (c, f, h, w) out in four rows, as one latent picture (1, c, 4(h+2m), 4(w+2m)).

    ComfyUI's previewers show one picture: of anything with more axes they would show the first frame alone. Each frame
    has a margin of m that repeats its edge: a decoder of pictures (TAESD) draws lines where two frames meet.
    """
    framed = torch.nn.functional.pad(clip, (SHEET_MARGIN,) * 4, mode="replicate")
    return rearrange(framed, "c (rows columns) h w -> 1 c (rows h) (columns w)", rows=SHEET_ROWS)


def even(preview: tuple[str, Image.Image, int], width: int, height: int) -> tuple[str, Image.Image, None]:
    """Scale the sheet of a clip with latents of this width and height as ComfyUI would, to at most the given size, but
    each frame by itself, without its margin.

    All frames come out with the same size in whole pixels, and none has something of its neighbours along its edges.
    """
    kind, sheet, most = preview
    pitch = sheet.width // SHEET_COLUMNS, sheet.height // SHEET_ROWS
    margin = [
        side * SHEET_MARGIN // (count + 2 * SHEET_MARGIN) for side, count in zip(pitch, (width, height), strict=True)
    ]
    inner = [side - 2 * edge for side, edge in zip(pitch, margin, strict=True)]
    longest = max(SHEET_COLUMNS * inner[0], SHEET_ROWS * inner[1])
    size = [max(1, side * most // longest) for side in inner]
    scaled = Image.new(sheet.mode, (SHEET_COLUMNS * size[0], SHEET_ROWS * size[1]))
    for row in range(SHEET_ROWS):
        for column in range(SHEET_COLUMNS):
            left, top = column * pitch[0] + margin[0], row * pitch[1] + margin[1]
            frame = sheet.crop((left, top, left + inner[0], top + inner[1])).resize(size, Image.Resampling.BICUBIC)
            scaled.paste(frame, (column * size[0], row * size[1]))
    return kind, scaled, None
