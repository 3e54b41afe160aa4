"""Gain and offset that bring generated colours to the source's, frame by frame or held steady over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ..canvas.source_mask import matte_at
from .seam import Seam, SeamBand

GAIN_LIMITS = (0.5, 2.0)
SHIFT_LIMIT = 0.25
"""The most that colour matching may move the mean of a channel."""
FLAT = 1e-4
"""A variance so small that it says nothing of contrast."""
FIT_ROUNDS = 8

BLOCK = 64
"""Pixels of a canvas that go wrong together: those of one latent."""
LEAST_CHANCE = (0.25 / 255) ** 2
"""Mean square of changes that nobody sees, however well they are measured."""
MEMORY = 0.9
"""What a frame's measurements still count for in the next frame, at most."""


def fit_colours(made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset, (n, 3) each, that bring pixels ``made`` closest to ``true``, both (n, pixels, 3).

    Each frame for itself: see `moments` and `line`.
    """
    return line(moments(made, true))


def moments(made: Tensor, true: Tensor) -> Tensor:
    """What a least-squares fit of ``true`` on ``made`` needs to know: (n, 5, 3), the means of both, of the square of
    ``made``, of their product and of the square of ``true``.

    They are weighted means in which pixels far off the fit count ever less (Geman and McClure's weights).
    """
    weight = torch.ones_like(made)
    for round_number in range(FIT_ROUNDS):
        total = weight.sum(1)
        means = [(weight * values).sum(1) / total for values in (made, true, made * made, made * true, true * true)]
        found = torch.stack(means, dim=1)
        if round_number < FIT_ROUNDS - 1:
            gain, offset = line(found)
            error = (made * gain[:, None] + offset[:, None] - true).abs()
            usual = 2 * error.median(1, keepdim=True).values.clamp(min=1 / 255)
            weight = (1 + (error / usual) ** 2) ** -2
    return found


def line(means: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset, (n, 3) each, of moments (n, 5, 3), within limits.

    A flat picture, which says nothing of contrast, keeps a gain near 1.
    """
    made, true, square, product, _ = means.unbind(1)
    spread, shared = (square - made**2).clamp(min=0), product - made * true
    gain = ((shared + FLAT) / (spread + FLAT)).clamp(*GAIN_LIMITS)
    offset = made + (true - made).clamp(-SHIFT_LIMIT, SHIFT_LIMIT) - gain * made
    return gain, offset


class SteadyColours:
    """Gain and offset over time: earlier frames have their say as long as their fit holds.

    What earlier frames measured is averaged with the present frame's, so that chance does not flicker. It counts for
    the less, the more its fit misses the present frame by: where the source fades or flashes and what was generated
    does not, or the other way round, the past is forgotten at once.
    """

    def __init__(self) -> None:
        self.means: Tensor | None = None
        self.weight = 0.0

    def __call__(self, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and offset, (n, 3) each, of the next ``n`` frames; pixels as for `fit_colours`."""
        measurements = max(made.shape[1] / BLOCK, 1.0)
        return line(torch.stack([self._next(frame, measurements) for frame in moments(made, true)]))

    def _next(self, frame: Tensor, measurements: float) -> Tensor:
        if not torch.isfinite(frame).all():
            neutral = frame.new_tensor([0.5, 0.5, 0.25, 0.25, 0.25])[:, None].expand_as(frame)
            return neutral if self.means is None else self.means
        if self.means is None:
            self.means, self.weight = frame, 1.0
            return frame
        missed, error = _square_error(self.means, frame), _square_error(frame, frame)
        # So much do fits of two numbers differ where nothing has changed, one to this frame and one to the past, given
        # that the weights leave about half of what is wrong out of the error.
        chance = 4 * error.mean() / measurements * (1 + 1 / self.weight)
        past = MEMORY * self.weight * (1 - surprise((missed - error).mean(), chance).item())
        self.means = torch.lerp(frame, self.means, past / (1 + past))
        self.weight = 1 + past
        return self.means


def surprise(squared_change: Tensor, chance: Tensor) -> Tensor:
    """From 0 for a change well below what ``chance`` alone makes (its mean square) to 1 for one well above it."""
    relative = (squared_change / (2 * chance).clamp(min=LEAST_CHANCE)).clamp(min=0) ** 2
    return 1 - 1 / (1 + relative)


def _square_error(fitted: Tensor, frame: Tensor) -> Tensor:
    """Mean square by which the fit to moments ``fitted`` misses the pixels of moments ``frame``, (3,)."""
    gain, offset = (values[0] for values in line(fitted[None]))
    made, true, square, product, true_square = frame
    return (
        true_square - 2 * gain * product - 2 * offset * true + gain**2 * square + 2 * gain * offset * made + offset**2
    ).clamp(min=0)


class ColourMatch(Protocol):
    """What becomes of the colours of generated frames, beside those of the source."""

    def along(self, seam: Seam) -> Seam:
        """Match them along the border."""

    def around(self, matte: Tensor, band: SeamBand, frames: Tensor, source: Tensor) -> Tensor:
        """Generated frames (n, gh, gw, 3), matched both along the border and around what is masked of the source.

        matte: (1 or n, h, w), bool. source: (n, h, w, 3).
        """


class KeptColours:
    """They stay as they are."""

    def along(self, seam: Seam) -> Seam:
        return seam

    def around(self, matte: Tensor, band: SeamBand, frames: Tensor, source: Tensor) -> Tensor:
        return frames


class FittedColours:
    """They are given gain and offset by ``fit``, from pixels as they were generated and as they are."""

    def __init__(self, fit: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]):
        self.fit = fit

    def along(self, seam: Seam) -> Seam:
        """Fit all pixels of the band."""
        return seam.recoloured(*self.fit(seam.made, seam.true))

    def around(self, matte: Tensor, band: SeamBand, frames: Tensor, source: Tensor) -> Tensor:
        """Fit those that are near border or matte. What is under it has no say, so each frame is fitted by itself."""
        made, true = band.read_all(frames, source)
        near = band.near(matte_at(matte, (made.shape[2], made.shape[1])).to(made.device))
        matched = frames.clone()
        for number, frame in enumerate(matched):
            pixels = near[number % len(near)]
            if pixels.any():
                gain, offset = self.fit(made[number, pixels][None], true[number, pixels][None])
                frame.mul_(gain[0]).add_(offset[0])
        return matched


COLOUR_MATCHES: dict[str, Callable[[], ColourMatch]] = {
    "none": KeptColours,
    "linear": lambda: FittedColours(fit_colours),
    "steady": lambda: FittedColours(SteadyColours()),
}
"""What makes one for a video, by the name of the option."""
