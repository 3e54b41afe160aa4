"""Frames of a video file by their number, without decoding all that come before them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .pictures import PictureReader
from .reader import BrokenVideo, decoded, open_file, rate_of, video_stream
from .shown import pixel_aspect

if TYPE_CHECKING:
    from av.container import InputContainer

WORTH_A_JUMP = 16
"""Frames. What is no further ahead is decoded to: a jump empties the decoder, whose threads work ahead."""


@dataclass(frozen=True, eq=False)
class IndexedVideo:
    """A video file of ``num_frames`` frames, ``rate`` of them a second, numbered from 0 in the order they are shown.

    ``stamps`` (num_frames,), int64: when each is shown, rising, in units of the stream; None for a file that does not
    tell, as raw streams do, and AVI files that store frames out of order: it is decoded from its start.
    ``keys``, int64: the numbers of the frames at which decoding can begin, rising.
    """

    path: Path
    num_frames: int
    rate: Fraction
    stamps: np.ndarray | None
    keys: np.ndarray

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> IndexedVideo:
        """Read a file's packets and decode its first frame; all frames, to count them, where stamps do not tell.

        Raises `BrokenVideo`.
        """
        with open_file(path) as container:
            stream = video_stream(container)
            rate = rate_of(stream)
            stamps, keys = _read_index(container, stream)
        if stamps is None:
            with open_file(path) as container:
                num_frames = sum(1 for _ in decoded(container, video_stream(container)))
        else:
            num_frames = len(stamps)
        if not num_frames:
            raise BrokenVideo(f"got {path}, a file without frames, expected a video; choose another file")
        video = cls(Path(path), num_frames, rate, stamps, keys)
        next(video.pictures([0]))
        return video

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, Tensor]]:
        """The frames of some numbers, each once and in rising order: number and picture, (h, w, 3), float32, 0..1.

        Pictures are as they are to be shown. Where a packet gives none, the frame before stands in, as in a player.
        Raises `BrokenVideo` where the file is damaged or ends too early, ValueError for numbers that the video does not
        have.
        """
        wanted = sorted({int(number) for number in numbers})
        if wanted and not 0 <= wanted[0] <= wanted[-1] < self.num_frames:
            raise ValueError(
                f"got frames {wanted[0]} to {wanted[-1]}, expected numbers from 0 to {self.num_frames - 1}"
            )
        find = self._by_counting if self.stamps is None else self._by_stamp
        with open_file(self.path) as container:
            picture = PictureReader(pixel_aspect(video_stream(container)))
            for number, frame in find(container, wanted):
                yield number, torch.from_numpy(picture(frame))

    def read(self, numbers: Iterable[int]) -> Tensor:
        """The frames of some numbers, in that order and as often as they are named: (n, h, w, 3), float32, 0..1.

        Raises as `pictures` does.
        """
        numbers = [int(number) for number in numbers]
        found = dict(self.pictures(numbers))
        return torch.stack([found[number] for number in numbers])

    def _by_counting(self, container: InputContainer, wanted: list[int]) -> Iterator[tuple[int, Any]]:
        """PyAV's frames of rising numbers: everything is decoded, up to the last of them."""
        coming = iter(wanted)
        number = next(coming, None)
        for count, frame in enumerate(decoded(container, video_stream(container))):
            if count == number:
                yield number, frame
                number = next(coming, None)
            if number is None:
                return
        raise self._ends_before(number)

    def _by_stamp(self, container: InputContainer, wanted: list[int]) -> Iterator[tuple[int, Any]]:
        """PyAV's frames of rising numbers: what lies before the last key frame is jumped over."""
        screen, shown = _Screen(container), 0
        for number in wanted:
            stamp = int(self.stamps[number])
            keys = self.keys[self.keys <= number]
            if len(keys) and keys[-1] > shown + WORTH_A_JUMP:
                # A jump may land late, or frames come late after it: then it is made to the key frame before.
                for key in keys[::-1]:
                    if screen.jump(int(self.stamps[key])) <= stamp:
                        break
            frame = screen.show(stamp)
            if frame is None:
                raise self._ends_before(number)
            yield number, frame
            shown = number

    def _ends_before(self, number: int) -> BrokenVideo:
        return BrokenVideo(
            f"got {self.path}, which ends before frame {number}, expected {self.num_frames} frames; copy it again"
        )


class _Screen:
    """What a file shows: the frame that is there at a time, and the one that will take its place."""

    def __init__(self, container: InputContainer):
        self.container, self.stream = container, video_stream(container)
        self._begin()

    def jump(self, stamp: int) -> float:
        """Begin anew at the key frame of ``stamp``; returns the stamp of the first frame that comes."""
        self.container.seek(stamp, stream=self.stream)
        self._begin()
        return float("inf") if self.coming is None else self.coming.pts

    def show(self, stamp: int) -> Any | None:
        """Go on to what is shown at ``stamp``: PyAV's frame, None where the file ends before."""
        while self.coming is not None and (self.shown is None or self.coming.pts <= stamp):
            self.shown, self.coming = self.coming, next(self.frames, None)
        over = self.coming is None and (self.shown is None or self.shown.pts < stamp)
        return None if over else self.shown

    def _begin(self) -> None:
        self.frames = (frame for frame in decoded(self.container, self.stream) if frame.pts is not None)
        self.shown, self.coming = None, next(self.frames, None)


def _read_index(container: InputContainer, stream: Any) -> tuple[np.ndarray | None, np.ndarray]:
    """The stamps of all frames, rising, None where packets do not tell them; and the numbers of the key frames."""
    packets = [
        (packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.size and not packet.is_discard
    ]
    stored = [stamp for stamp, _ in packets]
    stamps = sorted({stamp for stamp in stored if stamp is not None})
    # A decoder that must put frames in order, and packets that seem to be in order: AVI has no other stamps.
    disordered = stream.codec_context.has_b_frames and stored == stamps
    if disordered or len(stamps) < len(stored):
        return None, np.zeros(0, np.int64)
    keys = sorted(stamp for stamp, is_key in packets if is_key)
    return np.array(stamps, np.int64), np.searchsorted(stamps, keys)
