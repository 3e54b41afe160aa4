"""What a stretch's other frames show of one frame's border, and what speaks for it and against it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .border import Border
from .camera import Stretch
from .motions import Window, between, move
from .pyramid import blur
from .read import read_linear, read_nearest
from .sources import sources_of
from .trust import Trust

RANKS = (1, 2, 3, 4, 6, 8, 10, 13, 16)
"""Of the frames that show a pixel, nearest in time first: these are compared."""
MARGIN = 1.0
"""Pixels at a source's edge that are not used: there a pixel is half made up."""
NEAR, WIDE = 0.06, 0.2
"""How far errors inside the frame speak for what lies outside, in long sides: plain ones, and those of textures."""
INNER = 64
"""Positions along the frame's long side at which errors inside it are taken."""
AGREES = 9 / 255
LINGERS = 1.5
"""What moves by itself is looked for over so many times the gap in time."""


@dataclass(frozen=True, eq=False)
class Answer:
    """For each pixel of the border (p,): the frame it is taken from, less the frame's own number (0: none), and

    ``count``: how many frames were compared. ``spread``: by how much they differ. ``seam``: what the same source is off
    by inside the frame nearby; ``texture``: the same where there is something to see, farther around. ``span``: over
    which share of the gap in time those compared lie. ``moving``: in which share of the frames about as near in time
    something that moves by itself lies there. ``beside``: how much of the frame itself, nearby, moves by itself.
    ``colour`` (p, 3): what was found.
    """

    offset: Tensor
    count: Tensor
    spread: Tensor
    seam: Tensor
    texture: Tensor
    span: Tensor
    moving: Tensor
    beside: Tensor
    colour: Tensor


class Stretched:
    """A stretch's frames, ready to be asked.

    soft: frames (m, h, w, 3), as `softened` leaves them; trust and gains of them; texture (m, h', w'), bool.
    """

    def __init__(self, soft: Tensor, border: Border, stretch: Stretch, trust: Trust, gains: Tensor, texture: Tensor):
        self.border, self.stretch, self.trust, self.gains = border, stretch, trust, gains
        self.window, self.soft = border.window, soft
        self.texture, self.map_window = texture, Window(self.window.source, (texture.shape[2], texture.shape[1]))
        self.inner = self.window.grid(max(1, round(max(self.window.size) / INNER)))
        self.near, self.wide = (_Outward(self.inner, border, reach) for reach in (NEAR, WIDE))

    def ask(self, number: int) -> Answer | None:
        """Ask for frame ``number`` of the stretch. None where no frame shows anything of its border."""
        begin, broken = self.stretch.first, self.trust.broken
        others = [s - begin for s in sources_of(begin + number, begin, begin + len(self.stretch))]
        others = torch.tensor([s for s in others if broken[s] == broken[number]], dtype=torch.long)
        if not len(others):
            return None
        motions = between(self.stretch.path, torch.full_like(others, number), others)
        points = move(motions, self.border.points)
        shown = self.window.shows(points, MARGIN)
        useful = shown.any(1)
        if not useful.any():
            return None
        others, motions, points, shown = others[useful], motions[useful], points[useful], shown[useful]
        names = others[:, None].expand(shown.shape)
        follows = read_nearest(self.trust.follows, names, self.map_window.pixels(points))
        which, has = _ranked(shown & follows)
        spots = torch.gather(points, 0, which[..., None].expand(*which.shape, 2))
        values = self._values(number, others[which], spots)
        spread, fits = self._spread(values, has)
        pick = which.gather(0, fits.float().argmax(0)[None])[0]
        seam, texture = self._inside(number, others, motions, pick)
        time = others[which] - number
        low, high = torch.where(has, time, 999).amin(0), torch.where(has, time, -999).amax(0)
        offset = torch.where(has[0], others[pick] - number, 0)
        span = (high - low).clamp(min=0) / offset.abs().clamp(min=1)
        near = shown & ((others - number).abs()[:, None] <= LINGERS * offset.abs())
        moving = (near & ~follows).sum(0) / near.sum(0).clamp(min=1)
        colour = values.gather(0, fits.float().argmax(0)[None, :, None].expand(1, -1, 3))[0]
        return Answer(offset, has.sum(0), spread, seam, texture, span, moving, self._beside(number), colour)

    def _values(self, number: int, names: Tensor, points: Tensor) -> Tensor:
        """What frames show at points, as bright as frame ``number``: (..., 3)."""
        gain = self.gains[number] / self.gains[names]
        return read_linear(self.soft, names, self.window.pixels(points)) * gain

    def _spread(self, values: Tensor, has: Tensor) -> tuple[Tensor, Tensor]:
        """By how much values (r, p, 3) differ where a frame ``has`` any (r, p): (p,), and which agree, (r, p)."""
        count = has.sum(0)
        order = torch.where(has[..., None], values, 9.0).sort(0).values
        middle = ((count - 1).clamp(min=0) // 2)[None, :, None].expand(1, -1, 3)
        off = torch.where(has, (values - order.gather(0, middle)).abs().mean(-1), 0.0)
        pictures = self.border.spread(torch.stack([off, has.float()]), 0.0)
        off, known = F.avg_pool2d(pictures, 3, stride=1, padding=1)[..., self.border.outside]
        off = torch.where(has, off / known.clamp(min=1e-3), 9.0)
        # The worse part of the samples decides, not the better.
        worse = ((count * 2 + 1) // 3).clamp(min=1) - 1
        spread = torch.where(count > 0, off.sort(0).values.gather(0, worse[None])[0], 1.0)
        return spread, has & (off <= (1.5 * spread).clamp(min=AGREES))

    def _inside(self, number: int, others: Tensor, motions: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
        """What each pixel's source, ``pick`` (p,) of ``others``, is off by inside frame ``number``: near, and wide."""
        points = move(motions, self.inner)
        shown = self.window.shows(points, MARGIN)
        names = others[:, None, None].expand(shown.shape)
        shown &= read_nearest(self.trust.follows, names, self.map_window.pixels(points))
        own = torch.full(self.inner.shape[:2], number)
        true = read_linear(self.soft, own, self.window.pixels(self.inner))
        off = (self._values(number, names, points) - true).abs().mean(-1)
        textured = read_nearest(self.texture, own, self.map_window.pixels(self.inner)).float()
        return self.near(off, shown.float(), pick), self.wide(off, shown * textured, pick)

    def _beside(self, number: int) -> Tensor:
        """How much of what lies inside frame ``number`` near each pixel of the border does not follow, (p,)."""
        own = torch.full(self.inner.shape[:2], number)
        leaves = ~read_nearest(self.trust.follows, own, self.map_window.pixels(self.inner))
        nothing = torch.zeros(len(self.border.points), dtype=torch.long)
        return self.near(leaves[None].float(), torch.ones(1, *leaves.shape), nothing)


def softened(frames: Tensor) -> Tensor:
    """Frames (m, h, w, 3), float, as they are compared: positions between pixels, and noise, are no contradiction."""
    soft = blur(rearrange(frames, "n h w c -> n c h w"), 0.7)
    return rearrange(soft, "n c h w -> n h w c").contiguous()


class _Outward:
    """Takes errors inside a frame outward: weighted means, in which what is near counts most."""

    def __init__(self, inner: Tensor, border: Border, reach: float):
        x, y, width, height = border.target
        self.step = max(1, round(max(width, height) / INNER))
        ends = torch.tensor([[x, y], [x + width - 1, y + height - 1]]).float()
        columns = torch.arange(x, ends[1, 0] + self.step, self.step)
        rows = torch.arange(y, ends[1, 1] + self.step, self.step)
        at = border.window.points(torch.stack([columns, torch.zeros_like(columns)], -1).float())[:, 0]
        down = border.window.points(torch.stack([torch.zeros_like(rows), rows], -1).float())[:, 1]
        self.across, self.along = _falling(at, inner[0, :, 0], reach), _falling(down, inner[:, 0, 1], reach)
        self.spots = (border.pixels - ends[0]) / self.step

    def __call__(self, off: Tensor, weight: Tensor, pick: Tensor) -> Tensor:
        """Errors and weights (s, rows, columns) to the means of each pixel's source ``pick``, (p,)."""
        both = torch.stack([off * weight, weight], dim=1)
        spread = self.along @ both @ self.across.mT
        total, known = read_linear(rearrange(spread, "s k h w -> s h w k"), pick, self.spots).unbind(-1)
        return torch.where(known > 1e-9, total / known.clamp(min=1e-9), 1.0)


def _falling(there: Tensor, here: Tensor, reach: float) -> Tensor:
    """Weights (a, b) of positions ``here`` (b,) for those ``there`` (a,), that never quite end."""
    distance = (there[:, None] - here) / (2 * reach)
    return (1 + distance**2) ** -2


def _ranked(shown: Tensor) -> tuple[Tensor, Tensor]:
    """Of the frames that show each pixel (s, p), those of the `RANKS`: their places (r, p), and where there are any."""
    rank = torch.where(shown, shown.long().cumsum(0), 0)
    which, has = [], []
    for place in RANKS:
        found = rank == place
        which.append(found.float().argmax(0))
        has.append(found.any(0))
    return torch.stack(which), torch.stack(has)
