"""The motion from one frame to another, many pairs at a time: robust direct alignment.

The inverse compositional algorithm of Baker and Matthews (2004) from coarse to fine, with Geman and McClure's weights,
so that what moves by itself counts for little, and with a gain and an offset of brightness solved along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .motions import SIMILARITY, Freedom, Window, flow, motion_of, move, move_each, stay
from .pyramid import Pyramid

STEADY = Freedom()
AT_ONCE = 16
"""Pairs."""
ROUNDS = 4
SETTLED = 0.003
"""Pixels: a smaller step is the last."""
NOISE_FLOOR = 1.5 / 255
EXPLAINED = 13 / 255
"""A pixel is explained by a motion that brings it within this error (of three planes together)."""
RIDGE, HIGHER_RIDGE, GAIN_RIDGE = 1e-6, 2e-5, 1e-3
"""Of a pixel: what holds parameters, those beyond a similarity, and the gain, where nothing else does."""
CORRELATED = 16
"""So many neighbouring pixels tell what one would if their errors had nothing to do with each other."""
LEAST_SHARE = 0.05
"""Of the frame: with less in common two frames say nothing of each other."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of frames ``first`` and ``second`` (b,), and the ``motions`` (b, 3, 3) that lead from the one to the other.

    ``certain`` (b, k, k): how well the parameters of a motion are known, as the inverse of their covariance.
    ``explained`` (b,): the share of what has texture, and both frames show, that the motion explains. ``overlap`` (b,):
    the share of the first frame that the second shows. ``error`` (b,): what the motion usually leaves.
    """

    first: Tensor
    second: Tensor
    motions: Tensor
    certain: Tensor
    explained: Tensor
    overlap: Tensor
    error: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def chosen(self, which: Tensor) -> Pairs:
        """Those of a mask or of numbers."""
        return Pairs(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def where(self, better: Tensor, other: Pairs) -> Pairs:
        """The pairs of ``other`` where ``better`` (b,), else these."""
        return Pairs(
            *(
                torch.where(better.view(-1, *[1] * (mine.ndim - 1)), getattr(other, name), mine)
                for name, mine in ((name, getattr(self, name)) for name in self.__dataclass_fields__)
            )
        )

    @staticmethod
    def joined(parts: list[Pairs]) -> Pairs:
        """All pairs of some."""
        return Pairs(*(torch.cat([getattr(part, name) for part in parts]) for name in Pairs.__dataclass_fields__))


def align(
    pyramid: Pyramid,
    first: Tensor,
    second: Tensor,
    start: Tensor | None = None,
    *,
    freedom: Freedom = STEADY,
    levels: int | None = None,
    search: float = 0.0,
    where: Tensor | None = None,
) -> Pairs:
    """Align frames ``first`` (b,) with ``second`` (b,).

    start: motions (b, 3, 3), by default none. levels: so many of the finest, by default all. search: whole shifts of up
        to this share of the frame are tried beside the start.
    where: the pixels that count, (n, h, w), bool, of the pyramid's frames; by default all.
    """
    start = stay(len(first)) if start is None else start
    parts = [
        _align(pyramid, first[some], second[some], start[some], freedom, levels or len(pyramid.levels), search, where)
        for some in (slice(at, at + AT_ONCE) for at in range(0, len(first), AT_ONCE))
    ]
    return Pairs.joined(parts)


def _align(
    pyramid: Pyramid,
    first: Tensor,
    second: Tensor,
    motions: Tensor,
    freedom: Freedom,
    levels: int,
    search: float,
    where: Tensor | None,
) -> Pairs:
    top = min(levels, len(pyramid.levels)) - 1
    if search:
        motions = _best_shift(pyramid, first, second, motions, search)
    photometric = torch.zeros(len(first), 2)
    for level in range(top, -1, -1):
        # A small level tells shifts and turns, not more.
        count = freedom.count if level <= max(0, top - 1) or top < 2 else min(freedom.count, SIMILARITY)
        template = _Template.of(pyramid, level, first, replace(freedom, count=count), where)
        others = pyramid.levels[level][second]
        for _ in range(ROUNDS):
            error, shown = template.error(others, motions, photometric)
            weight, sigma = _weights(error, shown)
            step, certain = template.step(error, weight, photometric)
            motions = motions @ motion_of(-step[:, :count], freedom.bend)
            photometric = photometric + step[:, count:].float()
            if (step[:, :count].abs().max() * max(pyramid.windows[level].scale)) < SETTLED:
                break
    error, shown = template.error(others, motions, photometric)
    told = shown & template.picked(pyramid.texture[first].flatten(1))
    size = error.square().sum(1).sqrt()
    explained = (told & (size < EXPLAINED)).sum(1) / told.sum(1).clamp(min=1)
    shared = overlap(pyramid, motions, level=0)
    nothing = (shared < LEAST_SHARE) | (told.sum(1) < LEAST_SHARE / 10 * template.pixels)
    explained = torch.where(nothing, 0.0, explained)
    certain = certain / (sigma.clamp(min=NOISE_FLOOR).double() ** 2 * CORRELATED)[:, None, None]
    return Pairs(first, second, motions, certain, explained, shared, sigma)


@dataclass(frozen=True, eq=False)
class _Template:
    """The pixels of frames that count: ``planes`` (b, 3, q), and ``slopes`` (b, k, 3, q), how they change with the
    parameters of a motion, gain and offset.

    ``points`` (b, q, 2) or (1, q, 2), where they lie; ``counts`` the same without the 2, bool. ``which`` (b, q): their
    numbers, None where all ``pixels`` of the frames count.
    """

    planes: Tensor
    slopes: Tensor
    points: Tensor
    counts: Tensor
    which: Tensor | None
    window: Window
    pixels: int

    @classmethod
    def of(cls, pyramid: Pyramid, level: int, numbers: Tensor, freedom: Freedom, where: Tensor | None) -> _Template:
        planes, window = pyramid.levels[level][numbers], pyramid.windows[level]
        padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
        across = ((padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) * (window.scale[0] / 2)).flatten(2)
        along = ((padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) * (window.scale[1] / 2)).flatten(2)
        mean, planes = planes[:, 0].mean((1, 2))[:, None], planes.flatten(2)
        points, pixels = window.grid().view(1, -1, 2), planes.shape[-1]
        which, counts = None, torch.ones(1, pixels, dtype=torch.bool)
        if where is not None:
            which, counts = _numbered(_shrunk(where, window, numbers))
            planes, across, along = (
                values.gather(2, which[:, None].expand(-1, 3, -1)) for values in (planes, across, along)
            )
            points = points[0][which]
        flowed = flow(freedom, points).permute(3, 2, 0, 1)[:, :, :, None]
        slopes = torch.empty(len(planes), freedom.count + 2, *planes.shape[1:])
        for k in range(freedom.count):
            torch.mul(across, flowed[0, k], out=slopes[:, k])
            slopes[:, k].addcmul_(along, flowed[1, k].expand_as(along))
        slopes[:, -2] = planes
        slopes[:, -2, 0] -= mean
        slopes[:, -1] = 0
        slopes[:, -1, 0] = 1
        return cls(planes, slopes, points, counts, which, window, pixels)

    def picked(self, values: Tensor) -> Tensor:
        """Of values (b, pixels) of the frames those that count, (b, q)."""
        return values if self.which is None else values.gather(1, self.which)

    def error(self, others: Tensor, motions: Tensor, photometric: Tensor) -> tuple[Tensor, Tensor]:
        """What frames ``others`` (b, 3, h, w) are off by, (b, 3, q), and where they show what counts, (b, q)."""
        moved = move_each(motions, self.points)
        error = look(others, moved[:, None], self.window.source)[:, :, 0] - self.planes
        error -= self.slopes[:, -2] * photometric[:, :1, None]
        error[:, 0] -= photometric[:, 1:]
        return error, self.window.shows(moved) & self.counts

    def step(self, error: Tensor, weight: Tensor, photometric: Tensor) -> tuple[Tensor, Tensor]:
        """The parameters' change (b, k + 2), and what is known of the motion's: (b, k, k)."""
        weighted = (self.slopes * weight[:, None, None]).flatten(2)
        normal = (weighted @ self.slopes.flatten(2).mT).double()
        right = (weighted @ error.flatten(1)[..., None])[..., 0].double()
        count = normal.shape[-1] - 2
        ridge = torch.full((count + 2,), RIDGE, dtype=torch.float64)
        ridge[SIMILARITY:count] = HIGHER_RIDGE
        ridge[count:] = GAIN_RIDGE
        ridge *= self.pixels
        right[:, count:] -= ridge[count:] * photometric
        step = torch.linalg.solve(normal + torch.diag(ridge), right)
        tone = torch.linalg.solve(normal[:, count:, count:] + torch.eye(2) * 1e-6, normal[:, count:, :count])
        return step, normal[:, :count, :count] - normal[:, :count, count:] @ tone


def _numbered(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers of the pixels (b, p), bool, that count, (b, q), and where these are any: in some rows are fewer."""
    row, pixel = counts.nonzero(as_tuple=True)
    many = counts.sum(1)
    which = torch.zeros(len(counts), max(int(many.max()), 1), dtype=torch.long)
    which[row, (counts.cumsum(1) - 1)[row, pixel]] = pixel
    return which, torch.arange(which.shape[1]) < many[:, None]


def _shrunk(where: Tensor, window: Window, numbers: Tensor) -> Tensor:
    """Which pixels of a level of the frames ``numbers`` (b,) count, (b, pixels), bool."""
    width, height = window.size
    return (F.interpolate(where[numbers, None].float(), size=(height, width), mode="area") > 0.5).flatten(1)


def overlap(pyramid: Pyramid, motions: Tensor, level: int = -1) -> Tensor:
    """The share of a frame that the one a motion (b, 3, 3) leads to still shows, (b,)."""
    window = pyramid.windows[level]
    return window.shows(move(motions, window.grid())).float().mean((1, 2))


def look(planes: Tensor, points: Tensor, source: tuple[int, int]) -> Tensor:
    """Planes (b, c, h, w) of a source's frames at points (b, h', w', 2): (b, c, h', w'), bilinear."""
    whole = torch.tensor([max(source) / side for side in source])
    return F.grid_sample(planes, points * whole, padding_mode="border", align_corners=False)


def _weights(error: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """The weight of each pixel (b, pixels), and the usual error (b,)."""
    size = error.square().sum(1).sqrt()
    usual = torch.where(shown, size, torch.nan).nanmedian(1).values.nan_to_num(0) * 1.4826
    return shown / (1 + (size / (2 * usual.clamp(min=NOISE_FLOOR)[:, None])) ** 2) ** 2, usual


def _best_shift(pyramid: Pyramid, first: Tensor, second: Tensor, start: Tensor, search: float) -> Tensor:
    """The whole shift beside ``start`` that fits best on the coarsest level, in doubt the smallest."""
    level = len(pyramid.levels) - 1
    planes, window = pyramid.levels[level], pyramid.windows[level]
    reach = [max(1, int(search * side)) for side in window.size]
    shifts = torch.cartesian_prod(*(torch.arange(-most, most + 1) for most in reach)).float() / window.scale
    points = move(start, window.grid())[:, None] + shifts[:, None, None]
    b, s, h = points.shape[:3]
    found = look(planes[second], points.flatten(1, 2), window.source).unflatten(2, (s, h))
    shown = window.shows(points)[:, None].float()
    true = planes[first][:, :, None]
    pixels = shown.sum((-2, -1), keepdim=True).clamp(min=1)
    # Brightness may differ: only what is left beside both means counts.
    apart = found - true - ((found - true) * shown).sum((-2, -1), keepdim=True) / pixels
    cost = (apart.abs().sum(1, keepdim=True).clamp(max=0.2) * shown).sum((-2, -1)) / pixels[..., 0, 0]
    cost = cost[:, 0] + 0.02 * (1 - shown.mean((-2, -1))[:, 0]) + 1e-4 * shifts.norm(dim=-1)
    cost = torch.where(shown.mean((-2, -1))[:, 0] < 0.3, 9.0, cost)
    found = stay(b)
    found[:, :2, 2] = shifts[cost.argmin(1)].double()
    return found @ start
