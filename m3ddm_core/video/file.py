"""Videos in files, read through PyAV as they are needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .cuts import THUMBNAIL
from .pictures import PictureReader, turned
from .reader import File, decodable, open_file, rate_of, video_stream
from .source import EIGHT_BIT, LAYOUTS, TEN_BIT, OnFrame, Sound, VideoInfo, aac_rate
from .timeline import Timeline

if TYPE_CHECKING:
    from av.container import InputContainer

GAP = 0.05
"""Seconds by which sound may be late before silence is put in: less is rounding."""

NOT_CARRIED = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""Metadata that speaks of the old file, not of the video."""


class FileSource:
    """A video file: a path or its bytes. Opening it reads it once, for sizes, times and thumbnails.

    ``start`` and ``duration`` (seconds; 0 is all) choose a part, as ComfyUI's trimmed videos do. Time stamps that are
    missing or go back, and packets that cannot be decoded, are passed over. Of several video streams the first that
    is no cover picture is taken, of the sound streams the last that can be decoded.

    Raises ValueError for a file without a frame, and where the picture's size changes on the way.
    """

    def __init__(
        self,
        file: File,
        start: float = 0.0,
        duration: float = 0.0,
        *,
        most: int = 0,
        on_frame: OnFrame | None = None,
    ):
        self.file, self.start, self.duration, self.most = file, start, duration, most
        self._scan(on_frame)
        self.sound = self._find_sound()

    def frames(self) -> Iterator[Tensor]:
        """Each frame (h, w, 3), float32, 0..1, upright.

        Raises ValueError where they are fewer, or of another size, than when the file was opened.
        """
        read = PictureReader()
        count, (width, height) = 0, self.info.size
        with open_file(self.file) as container:
            for frame in self._decoded(container):
                picture = torch.from_numpy(read(frame))
                if picture.shape[:2] != (height, width):
                    raise ValueError(
                        f"got a frame of {picture.shape[1]}x{picture.shape[0]} from the video, whose frames were of "
                        f"{width}x{height} when it was opened; has the file been changed? Open it again"
                    )
                yield picture
                count += 1
        if count < len(self.info.timeline):
            raise ValueError(
                f"got {count} frames from the video, which had {len(self.info.timeline)} when it was opened; has the "
                "file been changed? Open it again"
            )

    def _decoded(self, container: InputContainer) -> Iterator[Any]:
        """The frames that are used, as PyAV's."""
        return islice(self._in_time(container), self.most or None)

    def _in_time(self, container: InputContainer) -> Iterator[Any]:
        stream = video_stream(container)
        start, end = (int(second / stream.time_base) for second in (self.start, self.start + self.duration))
        if start:
            container.seek(start, stream=stream)
        for frame in decodable(container, stream):
            if frame.pts is not None and frame.pts < start:
                continue
            if self.duration and frame.pts is not None and frame.pts >= end:
                return
            yield frame

    def _scan(self, on_frame: OnFrame | None) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        shrink = VideoReformatter()
        stamps: list[int | None] = []
        thumbnails = []
        first = last = None
        with open_file(self.file) as container:
            stream = video_stream(container)
            rate = rate_of(stream)
            expected = _expected_frames(container, stream, rate)
            for frame in self._decoded(container):
                first = first or frame
                if (frame.width, frame.height) != (first.width, first.height):
                    raise ValueError(
                        f"got frames of {first.width}x{first.height} and, from frame {len(stamps)}, of "
                        f"{frame.width}x{frame.height} in one video, expected one size; convert it first"
                    )
                small = shrink.reformat(frame, *THUMBNAIL, format="rgb24", interpolation=Interpolation.AREA)
                thumbnails.append(small.to_ndarray())
                stamps.append(frame.pts)
                last = frame
                if on_frame:
                    on_frame(len(stamps), max(min(expected, self.most or expected), len(stamps)))
            if first is None:
                raise ValueError(
                    "got a video without a frame that can be decoded; check the file and how it is trimmed"
                )
            self._first_stamp = next((stamp for stamp in stamps if stamp is not None), 0) * stream.time_base
            upright = turned(first)
            size, aspect = (first.width, first.height), Fraction(stream.sample_aspect_ratio or 1)
            rgb = first.format.is_rgb or first.format.name == "pal8"
            self.info = VideoInfo(
                size=size[::-1] if upright % 2 else size,
                timeline=Timeline.of(stamps, last.duration or 0, stream.time_base, rate),
                bit_depth=TEN_BIT if max(part.bits for part in first.format.components) > EIGHT_BIT else EIGHT_BIT,
                # Pictures that are RGB have no matrix, and the written file is to say what is usual.
                **dict(matrix=1, primaries=1, transfer=1)
                if rgb
                else dict(
                    matrix=int(first.colorspace), primaries=int(first.color_primaries), transfer=int(first.color_trc)
                ),
                aspect=1 / aspect if upright % 2 else aspect,
                metadata={key: text for key, text in container.metadata.items() if key not in NOT_CARRIED},
            )
        self.thumbnails = torch.from_numpy(np.stack(thumbnails))

    def _find_sound(self) -> Sound | None:
        import av

        with open_file(self.file) as container:
            stream = _sound_stream(container)
            if stream is None:
                return None
            try:
                block = next(container.decode(stream), None)
            except av.error.FFmpegError as error:
                logging.warning("M3DDM: the video's sound cannot be decoded (%s) and is left out.", error)
                return None
            if block is None:
                return None
            rate, layout = aac_rate(block.sample_rate), LAYOUTS.get(block.layout.nb_channels, "stereo")
        return Sound(rate, layout, lambda: self._sound_blocks(rate, layout))

    def _sound_blocks(self, rate: int, layout: str) -> Iterator[np.ndarray]:
        """Sound from the first frame to the end of the last, silence where there is none."""
        import av

        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        origin, whole = self._first_stamp, round(self.info.timeline.seconds * rate)
        position = 0
        with open_file(self.file) as container:
            stream = _sound_stream(container)
            if self.start:
                container.seek(int(origin * av.time_base))
            for part in (part for frame in decodable(container, stream) for part in resampler.resample(frame)):
                samples = part.to_ndarray()
                if part.pts is not None:
                    begins = round((part.pts * part.time_base - origin) * rate)
                    if begins > position + GAP * rate:
                        silence = min(begins, whole) - position
                        yield np.zeros((len(samples), silence), np.float32)
                        position += silence
                    elif not position and begins < 0:
                        samples = samples[:, -begins:]
                samples = samples[:, : whole - position]
                if samples.shape[1]:
                    yield samples
                    position += samples.shape[1]
                if position >= whole:
                    return


def _sound_stream(container: InputContainer) -> Any:
    # A stream for which there is no decoder has no codec context, and decoding it would crash.
    return next((stream for stream in reversed(container.streams.audio) if stream.codec_context is not None), None)


def _expected_frames(container: InputContainer, stream: Any, rate: Fraction) -> int:
    import av

    return stream.frames or int((container.duration or 0) / av.time_base * rate)
