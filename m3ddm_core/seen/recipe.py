"""What is kept of a look around: for every pixel of every border the frame it comes from, and how far to believe it.

A recipe is decided small and cooked at any size: positions follow from the camera's path, which is exact, and pixels
are read from the source's own frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..canvas.placement import Placement
from .border import Border
from .motions import Window, between, move
from .read import read_linear, read_nearest, read_sharp

USES = ("off", "start", "layer", "both", "known")
"""What seen pixels can be used for: sampling starts from them, they are laid over the result, both; or both, and
latents that are wholly seen are known to the network, which the published one was not trained for."""

MOST_MOTIONS = 4
"""What is near, what is far, and what lies between."""
FARTHEST = 127
"""Frames away: what an int8 holds."""
LIKELY = 0.1
"""The confidence from which a pixel is a better start than any fill: with less its source is not kept."""
CONFIDENT = 0.5
"""The confidence from which a pixel is taken for what the camera would have filmed."""

ReadFrame = Callable[[int], Tensor]
"""Gives the source's frame of a number, (h, w, 3 or more), of any size: float, 0..1, or uint8."""


def refuse_mask(masked: bool) -> None:
    """Raise ValueError where the source is masked: seen pixels do not go together with that."""
    if masked:
        raise ValueError(
            "got a source mask and seen pixels, expected one of the two: what lies under the mask would pass for "
            "filmed; leave out the mask, or what is seen (set seen to off, or disconnect it)"
        )


@dataclass(frozen=True)
class SceneReport:
    """What was found in a scene, or in a part of a long one, and in ``words`` why no more was.

    Its frames are those from ``first`` to before ``last``. ``still``: the camera stands still. ``strictness``: of what
    the limits usually are, so much was allowed; 0 where the scene was refused. ``share``: of its border, what was
    found. As a string it is all of that in words.
    """

    first: int
    last: int
    still: bool
    strictness: float
    share: float
    words: str

    def __str__(self) -> str:
        return f"Frames {self.first} to {self.last - 1}: {self.share:.0%} of the border seen elsewhere; {self.words}"


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame's border as other frames show it: ``pixels`` (h, w, 3), float32, 0..1, and ``confidence`` (h, w), 0..1.

    Inside the source both are 0, and where no frame shows anything.
    """

    pixels: Tensor
    confidence: Tensor

    @property
    def likely(self) -> Tensor:
        """Where the pixels are worth starting from, (h, w), bool."""
        return self.confidence >= LIKELY

    @property
    def known(self) -> Tensor:
        """Where the pixels are to be taken for true, (h, w), bool."""
        return self.confidence >= CONFIDENT


@dataclass(frozen=True, eq=False)
class Seen:
    """Recipes for the borders of ``n`` frames, p pixels each at the canvas's size.

    ``offsets`` (n, p), int8: the number of the frame a pixel comes from, less the frame's own; 0 for none.
    ``confidence`` (n, p), uint8, of 255. ``paths`` (n, k, 3, 3): the camera's, see `motions.py`, by what is near and by
    what is far. ``motions`` (n, p), uint8: along which of them a pixel is found. ``gains`` (n, 3).
    """

    placement: Placement
    offsets: Tensor
    confidence: Tensor
    motions: Tensor
    paths: Tensor
    gains: Tensor
    scenes: tuple[SceneReport, ...]

    def __len__(self) -> int:
        return len(self.offsets)

    def known(self, number: int) -> Tensor:
        """Which pixels of a frame's border are to be taken for true, (p,), bool."""
        return self.confidence[number] >= CONFIDENT * 255

    def named(self, number: int) -> list[int]:
        """The numbers of the frames that a frame's recipe names."""
        offsets = self.offsets[number].unique().tolist()
        return [number + offset for offset in offsets if offset]

    @cached_property
    def share(self) -> float:
        """Of all borders' pixels, those that are."""
        counts = [self.known(number).sum().item() for number in range(len(self))]
        return sum(counts) / max(self.confidence.numel(), 1)

    def report(self) -> str:
        """What was found, in words for people: altogether, and a line for each scene."""
        head = f"{self.share:.0%} of the border of {len(self)} frames was filmed in other frames"
        if self.share:
            head += f", half of that at most {self._usual_age()} frames away"
        return "\n".join([f"{head}.", *(f"{scene}." for scene in self.scenes)])

    def _usual_age(self) -> int:
        """The middle one of how many frames away known pixels were filmed."""
        counts = torch.zeros(FARTHEST + 1, dtype=torch.long)
        for number, offsets in enumerate(self.offsets):
            counts += offsets[self.known(number)].long().abs().bincount(minlength=len(counts))
        return int((counts.cumsum(0) * 2 >= counts.sum()).nonzero()[0])

    @cached_property
    def border(self) -> Border:
        """The border on the canvas."""
        return canvas_border(self.placement)

    @cached_property
    def target_border(self) -> Border:
        """The border of the target, at its full size."""
        placement = self.placement
        (x, y), target = placement.offset, placement.target
        return Border(Window(placement.source, placement.source), (-x, -y, *target))

    def maps(self, number: int) -> tuple[Tensor, Tensor]:
        """Confidence, float32, 0..1, and age of a frame's border, (h, w) each, of the target on the canvas."""
        confidence = self.border.spread(self.confidence[number].float() / 255, 0.0)
        return confidence, self.border.spread(self.offsets[number].abs(), 0)

    def confidence_on_canvas(self) -> Tensor:
        """Confidence in the pixels of all frames' borders, (n, ch, cw), float32, 0..1."""
        return self._padded(self.border.spread(self.confidence.float() / 255, 0.0))

    def ages_on_canvas(self) -> Tensor:
        """How many frames away all frames' pixels were filmed, (n, ch, cw), int8; 0 for none."""
        return self._padded(self.border.spread(self.offsets.abs(), 0))

    def on_canvas(self, number: int, read: ReadFrame) -> Picture:
        """Frame ``number``'s border on the canvas, (ch, cw): beyond the target nothing is known."""
        found = self._picture(number, read, self.border)
        pixels, confidence = self._padded(found.pixels.movedim(-1, 0)), self._padded(found.confidence)
        return Picture(pixels.movedim(0, -1), confidence)

    def on_target(self, number: int, read: ReadFrame) -> Picture:
        """Frame ``number``'s border at the target's full size."""
        return self._picture(number, read, self.target_border)

    def _padded(self, pictures: Tensor) -> Tensor:
        """Pictures (..., h, w) of the target on the canvas, (..., ch, cw): 0 beyond it."""
        (width, height), (x, y, wide, high) = self.placement.canvas, self.placement.canvas_target
        return F.pad(pictures, (x, width - x - wide, y, height - y - high))

    def _picture(self, number: int, read: ReadFrame, border: Border) -> Picture:
        if not (self.confidence[number] >= LIKELY * 255).any():
            nothing = torch.zeros(border.outside.shape)
            return Picture(nothing[..., None].expand(-1, -1, 3), nothing)
        offsets, motions, confidence = self._at(number, border)
        pixels = torch.zeros(len(offsets), 3)
        sources = offsets * MOST_MOTIONS + motions
        for source in sources[offsets != 0].unique().tolist():
            here, (offset, which) = sources == source, divmod(source, MOST_MOTIONS)
            other = number + offset
            frame = as_floats(read(other))[..., :3]
            window = Window(self.placement.source, (frame.shape[1], frame.shape[0]))
            motion = between(self.paths[:, which], torch.tensor([number]), torch.tensor([other]))
            spots = window.pixels(move(motion, border.points[here])[0])
            found = read_sharp(frame[None], torch.zeros(len(spots), dtype=torch.long), spots)
            pixels[here] = (found * (self.gains[number] / self.gains[other])).clamp(0, 1)
        pictures = border.spread(torch.cat([pixels, confidence[:, None]], dim=1).T, 0.0)
        return Picture(pictures[:3].movedim(0, -1), pictures[3])

    def _at(self, number: int, border: Border) -> tuple[Tensor, Tensor, Tensor]:
        """Offsets, motions and confidence (q,) of a frame at the pixels of its border at another size."""
        if border is self.border:
            return self.offsets[number].long(), self.motions[number].long(), self.confidence[number].float() / 255
        start = torch.tensor(self.border.target[:2])
        spots = self.border.window.pixels(border.points) - start
        none = torch.zeros(len(spots), dtype=torch.long)
        offsets, motions = (
            read_nearest(self.border.spread(values[number], 0)[None], none, spots).long()
            for values in (self.offsets, self.motions)
        )
        # Its own pixels are certain: so the edge between confident and not is smooth up to the source.
        certain = self.border.spread(self.confidence[number].float() / 255, 1.0)
        confidence = read_linear(certain[None, ..., None], none, spots)[:, 0]
        return offsets, motions, torch.where(offsets == 0, 0.0, confidence)


def unseen(placement: Placement, n: int, why: str | None = None) -> Seen:
    """Recipes for ``n`` frames of whose borders nothing is seen: not yet, or, with ``why``, in a scene that is done."""
    pixels = len(canvas_border(placement).pixels)
    return Seen(
        placement,
        torch.zeros(n, pixels, dtype=torch.int8),
        torch.zeros(n, pixels, dtype=torch.uint8),
        torch.zeros(n, pixels, dtype=torch.uint8),
        torch.eye(3, dtype=torch.float64).repeat(n, MOST_MOTIONS, 1, 1),
        torch.ones(n, 3),
        () if why is None else (SceneReport(0, n, False, 0.0, 0.0, why),),
    )


def as_floats(frame: Tensor) -> Tensor:
    """A frame (h, w, c), float in 0..1 or uint8, as float."""
    return frame.float() / 255 if frame.dtype == torch.uint8 else frame


def canvas_border(placement: Placement) -> Border:
    """The border of the target's rectangle on the canvas."""
    (x, y, width, height), own = placement.canvas_target, placement.canvas_source
    return Border(Window(placement.source, own[2:]), (x - own[0], y - own[1], width, height))
