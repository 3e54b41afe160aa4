"""ComfyUI's videos as the core reads them, and the core's as ComfyUI takes them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import comfy.model_management
import comfy.utils
import folder_paths
import numpy as np
import torch
from comfy_api.latest import Input, InputImpl, Types

from ...m3ddm_core.canvas.limits import require_memory_to_hold
from ...m3ddm_core.journal.pieces import pieces_in
from ...m3ddm_core.outpaint.time_left import spoken
from ...m3ddm_core.video.crop import CroppedSource
from ...m3ddm_core.video.finished import FinishedVideo
from ...m3ddm_core.video.formats import FORMATS, Encoding
from ...m3ddm_core.video.shots import shots_of
from ...m3ddm_core.video.source import OnFrame, Source, TensorSource, VideoInfo
from ...m3ddm_core.video.steady import SteadyFile
from ...m3ddm_core.video.writer import write_shots
from .journal import open_journal
from .progress import frame_progress

COLOURS = {"sRGB": (1, 1, 1), "HDR": (9, 9, 18), "HDR PQ": (9, 9, 16)}
"""ComfyUI's names for colours: matrix, primaries and transfer by FFmpeg's numbers."""
TRANSFERS = {1: "sRGB", 13: "sRGB", 16: "HDR PQ", 18: "HDR"}
OTHERS = "M3DDM Save Video writes HEVC, ProRes, FFV1 and pictures"
LOSSLESS_CRF = 0


class StreamedVideo(Input.Video):
    """A video of the core's, whose frames are made one by one while it is saved: composited, or read and cropped."""

    def __init__(self, video: FinishedVideo | CroppedSource):
        self.video = video
        self._file: str | None = None

    def save_to(
        self,
        path: str | IO[bytes],
        format: Types.VideoContainer = Types.VideoContainer.AUTO,
        codec: Types.VideoCodec = Types.VideoCodec.AUTO,
        metadata: dict[str, Any] | None = None,
        bit_depth: int | None = None,
        crf: float | None = None,
        color_space: str | None = None,
        preset: str | None = None,
        **later: Any,
    ) -> None:
        """Write a file with H.264 pictures and AAC sound, MP4 or what its name says; see `write_video`.

        ``later``: what versions of ComfyUI to come will ask for. None asks for nothing; all else is refused by name.
        """
        format, codec = (getattr(asked, "value", asked) for asked in (format, codec))
        has_suffix = f".{format}" in FORMATS["h264"].containers and str(path).endswith(f".{format}")
        if format not in ("auto", "mp4") and not has_suffix:
            raise ValueError(f"got the format {format!r}, expected auto, mp4, or mkv for a file of that name; {OTHERS}")
        if codec not in ("auto", "h264"):
            raise ValueError(f"got the codec {codec!r}, expected auto or h264; {OTHERS}")
        for name, value in later.items():
            if value is not None:
                raise ValueError(
                    f"got {name}={value!r} to save with, which is not known here; leave it out, or update this pack"
                )
        encoding = Encoding(bit_depth=bit_depth, quality=crf, preset=preset)
        save_video(path, self.video, self._info_in(color_space), encoding, metadata)

    def _info_in(self, colours: str | None) -> VideoInfo:
        """The video's facts with colours by ComfyUI's name: its own, or what it is said to have where it has no say."""
        info, own = self.video.info, self.get_color_space()
        if colours in (None, "auto", own):
            return info
        if own != "auto" or colours not in COLOURS:
            raise ValueError(f"got the color space {colours!r} for a video in {own}, expected {own}: none is converted")
        matrix, primaries, transfer = COLOURS[colours]
        return replace(info, matrix=matrix, primaries=primaries, transfer=transfer)

    def get_components(self) -> Types.VideoComponents:
        """All frames at once, for nodes that work on images: this takes the memory that saving does not."""
        return components_of(self.video, watched(self.video))

    def as_trimmed(
        self, start_time: float | None = None, duration: float | None = None, strict_duration: bool = False
    ) -> StreamedVideo | None:
        """The frames of so many seconds; a start below zero counts from the end. None where there is not so much."""
        start, length = start_time or 0.0, self.get_duration()
        start = max(start + length, 0.0) if start < 0 else start
        first, last = self.video.info.timeline.between(start, duration or 0.0)
        if first >= last or (strict_duration and start + (duration or 0.0) > length):
            return None
        return StreamedVideo(self.video.part(first, last))

    def get_stream_source(self) -> str:
        """A file in ComfyUI's temporary folder, written when it is first asked for."""
        if self._file is None or not os.path.exists(self._file):
            path = temporary_file()
            self.save_to(path)
            self._file = path
        return self._file

    def get_dimensions(self) -> tuple[int, int]:
        return self.video.info.size

    def get_color_space(self) -> str:
        """By ComfyUI's names, from 0.33 on; "auto" where a file does not say, or something else."""
        return TRANSFERS.get(self.video.info.transfer, "auto")

    def get_bit_depth(self) -> int:
        return self.video.info.bit_depth

    def get_duration(self) -> float:
        return self.video.info.timeline.seconds

    def get_frame_count(self) -> int:
        return len(self.video.info.timeline)

    def get_frame_rate(self) -> Fraction:
        return self.video.info.timeline.rate

    def get_container_format(self) -> str:
        return "mp4"


def temporary_file() -> str:
    """The name of a new MP4 file in ComfyUI's temporary folder."""
    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"m3ddm_{uuid.uuid4().hex}.mp4")


def watched(video: Source) -> Iterator[torch.Tensor]:
    """A video's frames, with ComfyUI's bar moving and its button for stopping heeded."""
    count, begun = len(video.info.timeline), time.monotonic()
    with frame_progress("finishing", count) as (written, text):
        for number, frame in enumerate(video.frames(), start=1):
            yield frame
            written(number)
        text.end(f"{count} frames finished in {spoken(time.monotonic() - begun)}")


def save_video(
    path: str | IO[bytes],
    video: Source,
    info: VideoInfo,
    encoding: Encoding,
    metadata: dict[str, Any] | None,
    beside: Path | None = None,
) -> None:
    """Write a video, with ComfyUI's bar moving and its button for stopping heeded; see `write_shots`.

    What an earlier run has encoded of it is taken from the journal.
    """
    count, begun = len(info.timeline), time.monotonic()
    with open_journal("M3DDM video") as journal, frame_progress("finishing", count) as (written, text):
        write_shots(
            *(path, shots_of(video), info, video.sound),
            encoding=encoding,
            metadata=metadata,
            pieces=pieces_in(journal),
            beside=beside,
            on_frame=written,
        )
        text.end(f"{count} frames finished in {spoken(time.monotonic() - begun)}")


def looking_through() -> OnFrame:
    """Make the callback for frames that are looked at: ComfyUI's bar moves, and its button for stopping is heeded."""
    bar = comfy.utils.ProgressBar(1)

    def on_frame(done: int, expected: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, expected)

    return on_frame


def components_of(video: Source, frames: Iterable[torch.Tensor]) -> Types.VideoComponents:
    """All of a video in memory; ``frames`` are its own, on whatever way they come."""
    (width, height), count = video.info.size, len(video.info.timeline)
    require_memory_to_hold(count, (width, height))
    images = torch.empty(count, height, width, 3)
    for number, frame in enumerate(frames):
        images[number] = frame
    sound, audio = video.sound, None
    blocks = list(sound.blocks()) if sound else []
    if blocks:
        waveform = torch.from_numpy(np.concatenate(blocks, axis=1))
        audio = {"waveform": waveform[None], "sample_rate": sound.rate}
    return Types.VideoComponents(
        images=images, audio=audio, frame_rate=video.info.timeline.rate, metadata=video.info.metadata
    )


def open_source(video: Input.Video, most: int, on_frame: OnFrame) -> Source:
    """The first ``most`` frames of a video of ComfyUI, 0 for all, without putting them all in memory.

    ``on_frame`` hears of frames that must be read for it.
    """
    if isinstance(video, StreamedVideo):
        return video.video.part(0, min(most, video.get_frame_count())) if most else video.video
    if isinstance(video, InputImpl.VideoFromComponents):
        components = video.get_components()
        audio = components.audio
        return TensorSource(
            components.images[: most or None],
            components.frame_rate,
            audio and audio["waveform"][0],
            int(audio["sample_rate"]) if audio else 0,
            video.get_bit_depth(),
        )
    edited = getattr(video, "has_pending_frame_edits", None)
    if edited is not None and edited():
        # Its file does not have them: newer versions of ComfyUI cut or scale frames as they are read.
        path = temporary_file()
        video.save_to(path, crf=LOSSLESS_CRF)
        return SteadyFile(path, most=most, on_frame=on_frame)
    start, duration = video.get_active_trim_window()
    return SteadyFile(video.get_stream_source(), start, duration, most=most, on_frame=on_frame)
