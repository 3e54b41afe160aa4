"""Sound as the writer takes it: blocks of one rate and one layout, whatever it is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from einops import rearrange
from torch import Tensor

SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Those that AAC knows, in samples a second."""
USUAL_SAMPLE_RATE = 48000
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Channel layouts by their number of channels; what is none of these becomes stereo."""
MIXED_DOWN = "stereo"

PLACED = {
    *("mono", "stereo", "downmix", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "4.1"),
    *("5.0", "5.0(side)", "5.1", "5.1(side)", "6.0", "6.0(front)", "hexagonal", "6.1", "6.1(back)", "6.1(front)"),
    *("7.0", "7.0(front)", "7.1", "7.1(wide)", "7.1(wide-side)", "octagonal"),
}
"""Layouts, by FFmpeg's names, whose loudspeakers it knows how to mix into others."""


@dataclass(frozen=True, eq=False)
class Sound:
    """The sound of a video from its first frame's time on: ``blocks()`` are (channels, samples) float32, without gaps.

    ``rate``: samples a second; ``layout``: FFmpeg's name of the channels. ``blocks`` may be asked for again.
    """

    rate: int
    layout: str
    blocks: Callable[[], Iterator[np.ndarray]]

    def cut(self, start: float, end: float) -> Sound:
        """The sound from ``start`` to ``end`` seconds."""
        first, last = round(start * self.rate), round(end * self.rate)

        def blocks() -> Iterator[np.ndarray]:
            position = 0
            for block in self.blocks():
                part = block[:, max(first - position, 0) : max(last - position, 0)]
                position += block.shape[1]
                if part.shape[1]:
                    yield part
                if position >= last:
                    return

        return replace(self, blocks=blocks)


def lists_channels(layout: Any) -> bool:
    """Whether a layout of PyAV's has no name but its channels, as "3 channels (FR+FL+LFE)"; it may own memory then."""
    return " channels (" in layout.name


def aac_rate(rate: int) -> int:
    """The sample rate to encode sound of ``rate`` at."""
    return rate if rate in SAMPLE_RATES else USUAL_SAMPLE_RATE


def aac_layout(channels: int) -> str:
    """The layout to encode so many channels in."""
    return LAYOUTS.get(channels, MIXED_DOWN)


def sound_of(waveform: Tensor, rate: int) -> Sound:
    """Sound in memory, (channels, samples), float, ``rate`` samples a second, as it can be encoded.

    Raises ValueError for what is no sound: another shape, NaN or infinity, a rate below 1.
    """
    if waveform.ndim != 2 or not waveform.shape[0]:
        raise ValueError(
            f"got sound of shape {tuple(waveform.shape)}, expected (channels, samples); check what it is made from"
        )
    if rate < 1:
        raise ValueError(f"got sound of {rate} samples a second, expected 1 or more; check what it is made from")
    samples = waveform.detach().float().cpu().numpy()
    if not np.isfinite(samples).all():
        raise ValueError(
            "got sound that is NaN or infinite in places, expected numbers; mend what it is made from, or leave it out"
        )
    made, layout = aac_rate(rate), aac_layout(len(samples))

    def converted() -> Iterator[np.ndarray]:
        convert = Converter(made, layout)
        for start in range(0, samples.shape[1], rate):
            yield from (part for _, part in convert(packed_frame(samples[:, start : start + rate], rate, start)))
        yield from (part for _, part in convert.rest())

    as_it_is = made == rate and len(samples) in LAYOUTS
    return Sound(made, layout, lambda: iter([samples]) if as_it_is else converted())


def packed_frame(samples: np.ndarray, rate: int, position: int, layout: str | None = None) -> Any:
    """PyAV's frame of samples (channels, samples), float32, that begin with number ``position``.

    ``layout`` None is channels without places. PyAV reads and writes past the end of a frame that has eight planes or
    more, so that the channels are packed into one.
    """
    import av

    one_plane = np.ascontiguousarray(rearrange(samples, "c n -> 1 (n c)"))
    frame = av.AudioFrame.from_ndarray(one_plane, format="flt", layout=layout or f"{len(samples)} channels")
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return frame


class Converter:
    """PyAV's frames of sound to samples of one rate and layout; each frame may be of another kind than the last.

    Loudspeakers whose places are known are mixed as FFmpeg does, others evenly.
    """

    def __init__(self, rate: int, layout: str):
        import av

        self.rate, self.layout, self.channels = rate, layout, av.AudioLayout(layout).nb_channels
        self._kind: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def __call__(self, frame: Any) -> Iterator[tuple[Fraction | None, np.ndarray]]:
        """Give when each part begins, in seconds by the frame's clock, and its samples (channels, samples), float32."""
        import av

        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self._kind:
            yield from self.rest()
            # Packed, for the reason that `packed_frame` gives.
            layout = self._resampled_to(frame.layout)
            self._kind, self._resampler = kind, av.AudioResampler(format="flt", layout=layout, rate=self.rate)
        yield from self._samples(self._resampler.resample(frame))

    def rest(self) -> Iterator[tuple[Fraction | None, np.ndarray]]:
        """What is still to come of the frames so far, as `__call__` gives it."""
        if self._resampler is not None:
            yield from self._samples(self._resampler.resample(None))
        self._kind = self._resampler = None

    def _resampled_to(self, layout: Any) -> str:
        """The layout that FFmpeg is asked for: ours, or so many channels as there are."""
        if layout.name in PLACED:
            return self.layout
        # One that lists its channels would be freed twice; see `decodable`.
        return f"{layout.nb_channels} channels" if lists_channels(layout) else layout.name

    def _samples(self, parts: list[Any]) -> Iterator[tuple[Fraction | None, np.ndarray]]:
        # A resampler with nothing to do hands on what it gets, the None that ends it too.
        for part in filter(None, parts):
            channels = part.layout.nb_channels
            samples = rearrange(part.to_ndarray(), "1 (n c) -> c n", c=channels)
            if channels != self.channels:
                samples = np.repeat(samples.mean(axis=0, keepdims=True), self.channels, axis=0)
            yield None if part.pts is None else part.pts * part.time_base, samples
