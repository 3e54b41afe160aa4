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
from .digests import derived_beside
from .fields import check_fields, is_interlaced, whole_frames
from .formats import EIGHT_BIT, TEN_BIT
from .frame_digest import FrameDigest
from .light import light_of
from .losses import Losses, tell_losses, tell_refused
from .pictures import PictureReader
from .reader import BrokenVideo, File, decodable, name_of, open_file, rate_of, video_stream
from .shown import Orientation, pixel_aspect, square_size
from .sound_track import find_sound
from .source import OnFrame, VideoInfo
from .timeline import Timeline, first_stamp

if TYPE_CHECKING:
    from av.container import InputContainer

USUAL, UNKNOWN, WIDE = 1, 2, 9
"""Matrix and primaries by FFmpeg's numbers: BT.709's, not told, BT.2020's."""

NOT_CARRIED = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""Metadata that speaks of the old file, not of the video."""


class FileSource:
    """A video file: a path or its bytes. Opening it reads it once, for sizes, times and thumbnails.

    ``start`` and ``duration`` (seconds; 0 is all) choose a part, as ComfyUI's trimmed videos do. Time stamps that are
    missing or go back, and packets that cannot be decoded, are passed over; the log says how many frames are lost by
    that. Of several video streams, and of several of sound, the default is taken; cover pictures do not count.
    Interlaced frames are made whole, as ``fields`` says (one of `FIELDS`); the log says so.

    ``digests``: as `Source` has them.

    Raises `BrokenVideo` for what cannot be opened or has no frame, and where the picture's size changes on the way.
    """

    def __init__(
        self,
        file: File,
        start: float = 0.0,
        duration: float = 0.0,
        *,
        most: int = 0,
        fields: str = "auto",
        on_frame: OnFrame | None = None,
    ):
        check_fields(fields)
        self.file, self.start, self.duration, self.most, self.fields = file, start, duration, most, fields
        self.interlaced = False
        """Whether any frame says so."""
        origin = self._scan(on_frame)
        self.sound = find_sound(file, origin, self.info.timeline.seconds, start)

    def frames(self) -> Iterator[Tensor]:
        """Each frame (h, w, 3), float32, 0..1, as it is to be shown: upright, with square pixels.

        Raises ValueError where they are fewer, or of another size, than when the file was opened.
        """
        count, (width, height) = 0, self.info.size
        with open_file(self.file) as container:
            read = PictureReader(pixel_aspect(video_stream(container)))
            frames = self._decoded(container, Losses())
            if self._is_deinterlaced:
                frames = whole_frames(frames, self.fields)
            for frame in frames:
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

    @property
    def _is_deinterlaced(self) -> bool:
        return self.fields in ("top", "bottom") or (self.fields == "auto" and self.interlaced)

    def _decoded(self, container: InputContainer, losses: Losses) -> Iterator[Any]:
        """The frames that are used, as PyAV's."""
        return islice(self._in_time(container, losses), self.most or None)

    def _in_time(self, container: InputContainer, losses: Losses) -> Iterator[Any]:
        stream = video_stream(container)
        start, end = (int(second / stream.time_base) for second in (self.start, self.start + self.duration))
        if start:
            container.seek(start, stream=stream)
        begun = not start
        for frame in decodable(container, stream, losses):
            # A frame without a stamp goes with the one before it.
            if not begun and (frame.pts is None or frame.pts < start):
                continue
            if self.duration and frame.pts is not None and frame.pts >= end:
                return
            begun = True
            yield frame

    def _scan(self, on_frame: OnFrame | None) -> Fraction:
        """Look at every frame; returns when the first is shown, in seconds by the file's clock."""
        with open_file(self.file) as container:
            stream, losses = video_stream(container), Losses()
            rate, base = rate_of(stream), stream.time_base
            frames, stamps, thumbnails, digests = self._look(
                container, losses, on_frame, _expected_frames(container, stream, rate)
            )
            if not frames:
                raise BrokenVideo(
                    f"got {name_of(self.file)}, a video without a frame that can be decoded, expected some; check the "
                    "file and how it is trimmed"
                )
            timeline = Timeline.of(stamps, frames[-1].duration or 0, base, rate)
            name, whole = name_of(self.file), not (self.start or self.duration or self.most)
            if whole:
                tell_losses(name, losses, container, stream, len(stamps), timeline.seconds)
            else:
                tell_refused(name, losses)
            if self.interlaced:
                logging.info(
                    "M3DDM: %s is interlaced; its frames are %s.",
                    name,
                    "deinterlaced" if self._is_deinterlaced else "left as they are",
                )
            self.info = _info(frames[0], stream, timeline, container.metadata)
            self.thumbnails = torch.from_numpy(np.stack(thumbnails))
            # Lines of the frames before and after go into one that is deinterlaced.
            self.digests = derived_beside(digests, self.fields) if self._is_deinterlaced else tuple(digests)
            return first_stamp(stamps, base, rate) * base

    def _look(
        self, container: InputContainer, losses: Losses, on_frame: OnFrame | None, expected: int
    ) -> tuple[list[Any], list[int | None], list[np.ndarray], list[str]]:
        """The first and the last frame, and the stamp, thumbnail and digest of each."""
        from av.video.reformatter import Interpolation, VideoReformatter

        shrink, ends = VideoReformatter(), []
        digest = FrameDigest(video_stream(container))
        stamps: list[int | None] = []
        thumbnails, digests = [], []
        for frame in self._decoded(container, losses):
            ends = [ends[0] if ends else frame, frame]
            _check_same_size(ends[0], frame, len(stamps))
            small = shrink.reformat(frame, *THUMBNAIL, format="rgb24", interpolation=Interpolation.AREA)
            thumbnails.append(small.to_ndarray())
            stamps.append(frame.pts)
            digests.append(digest(frame))
            self.interlaced |= is_interlaced(frame)
            if on_frame:
                on_frame(len(stamps), max(min(expected, self.most or expected), len(stamps)))
        return ends, stamps, thumbnails, digests


def _check_same_size(first: Any, frame: Any, number: int) -> None:
    sizes = [Orientation.of(each).size(each.width, each.height) for each in (first, frame)]
    if sizes[0] != sizes[1]:
        (width, height), (other_width, other_height) = sizes
        raise BrokenVideo(
            f"got frames of {width}x{height} and, from frame {number}, of {other_width}x{other_height} in one video, "
            "expected one size; convert it first"
        )


def _info(first: Any, stream: Any, timeline: Timeline, metadata: dict[str, str]) -> VideoInfo:
    """What there is to know of the video of a stream that begins with the frame ``first``."""
    return VideoInfo(
        Orientation.of(first).size(*square_size(first.width, first.height, pixel_aspect(stream))),
        timeline,
        TEN_BIT if max(part.bits for part in first.format.components) > EIGHT_BIT else EIGHT_BIT,
        *_colours(first),
        {key: text for key, text in metadata.items() if key not in NOT_CARRIED},
        light_of(first),
    )


def _colours(frame: Any) -> tuple[int, int, int]:
    """Matrix, primaries and transfer of a frame, by FFmpeg's numbers."""
    matrix, primaries, transfer = (int(tag) for tag in (frame.colorspace, frame.color_primaries, frame.color_trc))
    if not (frame.format.is_rgb or frame.format.name == "pal8"):
        return matrix, primaries, transfer
    # Pictures that are RGB have no matrix, and unless they are of other colours the written file is to say what is
    # usual.
    if primaries in (USUAL, UNKNOWN):
        return USUAL, USUAL, USUAL
    return (WIDE if primaries == WIDE else USUAL), primaries, transfer


def _expected_frames(container: InputContainer, stream: Any, rate: Fraction) -> int:
    import av

    return stream.frames or int((container.duration or 0) / av.time_base * rate)
