"""What the streaming path asks of a video, and videos whose frames are in memory already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice
from typing import Protocol

from torch import Tensor

from ..frames import drop_alpha, scale_frames
from .cuts import thumbnails_of
from .digests import derived, digest_picture
from .formats import EIGHT_BIT
from .sound import Sound, sound_of
from .timeline import Timeline

OnFrame = Callable[[int, int], None]
"""``on_frame(done, expected)`` for each frame looked at; ``expected`` may be a guess, but is never below ``done``."""


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its frames are read.

    ``size``: (width, height), as it is shown. ``bit_depth``: 8 or 10. ``matrix``, ``primaries``, ``transfer``: its
    colours, by FFmpeg's numbers, 2 where it does not say. ``metadata``: title and the like. ``light``: of HDR,
    see `light_of`.
    """

    size: tuple[int, int]
    timeline: Timeline
    bit_depth: int = EIGHT_BIT
    matrix: int = 1
    primaries: int = 1
    transfer: int = 1
    metadata: dict[str, str] = field(default_factory=dict)
    light: dict[str, str] = field(default_factory=dict)

    @classmethod
    def even(cls, size: tuple[int, int], num_frames: int, rate: float) -> VideoInfo:
        """What there is to know of frames (width, height) that were made: ``rate`` of them a second."""
        return cls(size, Timeline.even(num_frames, Fraction(rate).limit_denominator(1001)))


class Source(Protocol):
    """A video that can be read from its start any number of times."""

    info: VideoInfo
    thumbnails: Tensor
    """(n, 36, 64, 3), uint8: every frame, for `find_cuts`."""
    sound: Sound | None
    digests: tuple[str, ...] | None
    """Of every frame a hash of all that decides it; None where that is not known before frames are made."""

    def frames(self) -> Iterator[Tensor]:
        """Each frame (h, w, 3), float32, 0..1, in order."""


class InOrder:
    """A video's frames by their numbers, asked for in rising order. Those between are passed over, and none is read
    before it is needed."""

    def __init__(self, frames: Iterator[Tensor]):
        self._frames, self._next = frames, 0

    def between(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames from ``first`` to before ``last``."""
        while self._next < last:
            number, self._next = self._next, self._next + 1
            # Fewer than there are to be end the video, as they do elsewhere.
            for frame in islice(self._frames, 1):
                if number >= first:
                    yield frame


class TensorSource:
    """Frames (n, h, w, 3 or 4), float, 0..1, at a constant rate, and sound (channels, samples) or none."""

    def __init__(
        self, images: Tensor, rate: Fraction, waveform: Tensor | None = None, sample_rate: int = 0, bit_depth: int = 8
    ):
        self.images = drop_alpha(images)
        if not len(images):
            raise ValueError("got a video without frames, expected at least one; check what it is made from")
        height, width = images.shape[1:3]
        # A rate that went through a float would make time units that no container can hold.
        timeline = Timeline.even(len(images), Fraction(round(rate * 1000), 1000))
        self.info = VideoInfo((width, height), timeline, bit_depth)
        self.thumbnails = thumbnails_of(self.images)
        self.sound = None
        if waveform is not None and waveform.numel():
            self.sound = sound_of(waveform, sample_rate).cut(0, timeline.seconds)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """As `Source` has them."""
        return tuple(map(digest_picture, self.images))

    def frames(self) -> Iterator[Tensor]:
        return (image.float().cpu() for image in self.images)


class ScaledSource:
    """A video whose frames are scaled to (width, height) as they are read; all else is the video's."""

    def __init__(self, source: Source, size: tuple[int, int]):
        self.source, self.info = source, replace(source.info, size=size)
        self.thumbnails, self.sound = source.thumbnails, source.sound

    @property
    def digests(self) -> tuple[str, ...] | None:
        """As `Source` has them."""
        whole = self.source.digests
        return whole and derived(whole, f"scaled to {self.info.size}")

    def frames(self) -> Iterator[Tensor]:
        return (scale_frames(frame[None], self.info.size)[0] for frame in self.source.frames())


def scaled_source(source: Source, size: tuple[int, int]) -> Source:
    """The video with frames of (width, height): itself, where it has them."""
    return source if source.info.size == size else ScaledSource(source, size)
