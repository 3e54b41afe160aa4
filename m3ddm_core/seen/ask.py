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
IN_SIGHT = 0.15
"""Long sides beyond the frame within which what moves by itself would mostly show in the frame too."""
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
    passing: Tensor
    colour: Tensor

    def among(self, some: Tensor, pixels: int) -> Answer:
        """An answer for as many ``pixels``, of which ``some`` (p,) are these; of the others nothing is found."""
        return Answer(
            *(
                mine.new_zeros(pixels, *mine.shape[1:]).index_copy_(0, some, mine)
                for mine in (getattr(self, name) for name in self.__dataclass_fields__)
            )
        )


class Stretched:
    """A stretch's frames, ready to be asked.

    soft: frames (m, h, w, 3), as `softened` leaves them; trust and gains of them; texture (m, h', w'), bool. restless:
    the share of them that moves by itself.
    """

    def __init__(
        self,
        soft: Tensor,
        border: Border,
        stretch: Stretch,
        trust: Trust,
        gains: Tensor,
        texture: Tensor,
        restless: float,
    ):
        self.border, self.stretch, self.trust, self.gains = border, stretch, trust, gains
        self.window, self.soft = border.window, soft
        self.texture, self.map_window = texture, Window(self.window.source, (texture.shape[2], texture.shape[1]))
        # Near the frame what moves would be seen in part; far away it is as likely as anywhere.
        self.passing = restless * (1 - torch.exp(-((border.beyond / IN_SIGHT) ** 2)))
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
        # What no frame shows is not worked on: of many motions each leads to little.
        some = (shown & follows).any(0).nonzero().flatten()
        if not len(some):
            return None
        points, shown, follows = points[:, some], shown[:, some], follows[:, some]
        which, has = _ranked(shown & follows)
        values = torch.zeros(*which.shape, 3)
        values[has] = self._values(number, others[which[has]], points[which, torch.arange(len(some))][has])
        spread, fits = self._spread(values, has, some)
        best = fits.float().argmax(0)[None]
        pick = which.gather(0, best)[0]
        seam, texture = self._inside(number, others, motions, pick, some)
        time = others[which] - number
        low, high = torch.where(has, time, 999).amin(0), torch.where(has, time, -999).amax(0)
        offset = others[pick] - number
        near = shown & ((others - number).abs()[:, None] <= LINGERS * offset.abs())
        answer = Answer(
            offset,
            has.sum(0),
            spread,
            seam,
            texture,
            span=(high - low) / offset.abs(),
            moving=(near & ~follows).sum(0) / near.sum(0).clamp(min=1),
            beside=self._beside(number, some),
            passing=self.passing[some],
            colour=values.gather(0, best[..., None].expand(-1, -1, 3))[0],
        )
        return answer.among(some, len(self.border.points))

    def _values(self, number: int, names: Tensor, points: Tensor) -> Tensor:
        """What frames show at points, as bright as frame ``number``: (..., 3)."""
        gain = self.gains[number] / self.gains[names]
        return read_linear(self.soft, names, self.window.pixels(points)) * gain

    def _spread(self, values: Tensor, has: Tensor, some: Tensor) -> tuple[Tensor, Tensor]:
        """By how much values (r, q, 3) differ where a frame ``has`` any (r, q): (q,), and which agree, (r, q)."""
        count = has.sum(0)
        order = torch.where(has[..., None], values, 9.0).sort(0).values
        middle = ((count - 1) // 2)[None, :, None].expand(1, -1, 3)
        off = torch.where(has, (values - order.gather(0, middle)).abs().mean(-1), 0.0)
        whole = torch.zeros(2, len(has), len(self.border.points))
        whole[..., some] = torch.stack([off, has.float()])
        off, known = _summed(self.border.spread(whole, 0.0))[..., self.border.outside][..., some]
        off = torch.where(has, off / known.clamp(min=1), 9.0)
        # The worse part of the samples decides, not the better.
        worse = (count * 2 + 1) // 3 - 1
        spread = off.sort(0).values.gather(0, worse[None])[0]
        return spread, has & (off <= (1.5 * spread).clamp(min=AGREES))

    def _inside(
        self, number: int, others: Tensor, motions: Tensor, pick: Tensor, some: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What each pixel's source, ``pick`` (q,) of ``others``, is off by inside frame ``number``: near, and wide."""
        points = move(motions, self.inner)
        shown = self.window.shows(points, MARGIN)
        names = others[:, None, None].expand(shown.shape)
        shown &= read_nearest(self.trust.follows, names, self.map_window.pixels(points))
        own = torch.full(self.inner.shape[:2], number)
        true = read_linear(self.soft, own, self.window.pixels(self.inner))
        off = (self._values(number, names, points) - true).abs().mean(-1)
        textured = read_nearest(self.texture, own, self.map_window.pixels(self.inner)).float()
        return self.near(off, shown.float(), pick, some), self.wide(off, shown * textured, pick, some)

    def _beside(self, number: int, some: Tensor) -> Tensor:
        """How much of what lies inside frame ``number`` near ``some`` of the border's pixels does not follow, (q,)."""
        own = torch.full(self.inner.shape[:2], number)
        leaves = ~read_nearest(self.trust.follows, own, self.map_window.pixels(self.inner))
        return self.near(leaves[None].float(), torch.ones(1, *leaves.shape), torch.zeros_like(some), some)


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

    def __call__(self, off: Tensor, weight: Tensor, pick: Tensor, some: Tensor) -> Tensor:
        """Errors and weights (s, rows, columns) to the means of the sources ``pick`` (q,) of ``some`` pixels, (q,)."""
        both = torch.stack([off * weight, weight], dim=1)
        spread = self.along @ both @ self.across.mT
        total, known = read_linear(rearrange(spread, "s k h w -> s h w k"), pick, self.spots[some]).unbind(-1)
        return torch.where(known > 1e-9, total / known.clamp(min=1e-9), 1.0)


def _falling(there: Tensor, here: Tensor, reach: float) -> Tensor:
    """Weights (a, b) of positions ``here`` (b,) for those ``there`` (a,), that never quite end."""
    distance = (there[:, None] - here) / (2 * reach)
    return (1 + distance**2) ** -2


def _ranked(shown: Tensor) -> tuple[Tensor, Tensor]:
    """Of the frames that show each pixel (s, p), those of the `RANKS`: their places (r, p), and where there are any."""
    number, pixel = shown.nonzero(as_tuple=True)
    places = torch.full((len(shown) + 1,), len(RANKS))
    for place, rank in enumerate(RANKS[: len(shown)]):
        if rank <= len(shown):
            places[rank] = place
    place = places[shown.cumsum(0)[number, pixel]]
    which = torch.zeros(len(RANKS) + 1, shown.shape[1], dtype=torch.long)
    which[place, pixel] = number
    has = torch.zeros(which.shape, dtype=torch.bool)
    has[place, pixel] = True
    return which[:-1], has[:-1]


def _summed(pictures: Tensor) -> Tensor:
    """Pictures (..., h, w) as sums over squares of 3 x 3 pixels; what lies beyond is 0."""
    padded = F.pad(pictures, (1, 1, 1, 1))
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
