"""Points and motions of a camera that do not depend on the size frames are looked at.

A *point* is (x, y) from the middle of the source, in halves of its long side: +-1 at the ends of that side. A *motion*
is a 3x3 matrix, float64, that takes the points of one frame to those of another, as a homography does. Small motions
are written as parameters: shift x and y, scale, rotation (so far a similarity), aspect and shear (affine), and what
tilts the picture (projective).

A camera that turns does not shift its picture: it bends it, the more the wider its lens. With a focal length of f
halves of the long side a small turn t to the side takes x to x + t (1 + b x^2) and y to y + t b x y, where b = 1 / f^2
(the motion field of a rotation, Longuet-Higgins and Prazdny, 1980). That number, the *bend*, is one for a whole shot.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SIMILARITY, AFFINE, PROJECTIVE = 4, 6, 8
"""How many parameters a motion has."""
BEHIND = 0.1
"""Points that are farther away than so many times are as good as behind the camera."""


@dataclass(frozen=True)
class Freedom:
    """What a camera may do: its motions have ``count`` parameters, and its lens the ``bend``, 0 for a far one."""

    count: int = SIMILARITY
    bend: float = 0.0


@dataclass(frozen=True)
class Window:
    """Frames of a source of one shape, ``source`` (width, height), looked at in ``size`` (width, height)."""

    source: tuple[int, int]
    size: tuple[int, int]

    @property
    def scale(self) -> Tensor:
        """Pixels of one unit, (2,), float32: along x and y, which rounding may make differ a little."""
        unit = max(self.source) / 2
        return torch.tensor([have * unit / whole for have, whole in zip(self.size, self.source, strict=True)])

    def pixels(self, points: Tensor) -> Tensor:
        """Points (..., 2) as pixels (column, row): 0, 0 is the middle of the first one."""
        return points * self.scale + (torch.tensor(self.size) - 1) / 2

    def points(self, pixels: Tensor) -> Tensor:
        """Pixels (..., 2), (column, row), as points."""
        return (pixels - (torch.tensor(self.size) - 1) / 2) / self.scale

    def grid(self, step: int = 1) -> Tensor:
        """The points of every ``step``-th pixel, (rows, columns, 2)."""
        width, height = self.size
        rows, columns = (torch.arange((side - 1) % step // 2, side, step).float() for side in (height, width))
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return self.points(torch.stack([x, y], dim=-1))

    def shows(self, points: Tensor, margin: float = 0.0) -> Tensor:
        """Which points (..., 2) lie within the middles of the outermost pixels, ``margin`` pixels from them: (...)."""
        limit = (torch.tensor(self.size) - 1) / 2 - margin
        across, along = ((points[..., axis] * self.scale[axis]).abs_() <= limit[axis] for axis in (0, 1))
        return across.logical_and_(along)


def move(motions: Tensor, points: Tensor) -> Tensor:
    """Points (m, 2) or (h, w, 2) under each motion (b, 3, 3): (b, ..., 2), float32."""
    return move_each(motions, points.reshape(1, -1, 2)).reshape(len(motions), *points.shape)


def move_each(motions: Tensor, points: Tensor) -> Tensor:
    """Points (b, m, 2), of each motion (b, 3, 3) its own, or (1, m, 2): (b, m, 2), float32."""
    rows = motions.float()[:, :, :, None]
    x, y = points[:, None, :, 0], points[:, None, :, 1]
    moved = torch.addcmul(rows[:, :, 2], rows[:, :, 0], x).addcmul_(rows[:, :, 1], y)
    return (moved[:, :2] / moved[:, 2:].clamp_(min=BEHIND)).movedim(1, -1)


def stay(count: int) -> Tensor:
    """So many motions that move nothing, (count, 3, 3)."""
    return torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)


def between(path: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The motions (b, 3, 3) from frames ``first`` (b,) to ``second`` (b,) of a path (n, 3, 3), frame to scene."""
    return torch.linalg.solve(path[second], path[first])


def generators(freedom: Freedom) -> Tensor:
    """What one parameter after the other does to a motion that moves nothing, (count, 3, 3)."""
    found = torch.zeros(PROJECTIVE, 3, 3, dtype=torch.float64)
    found[0, 0, 2] = found[1, 1, 2] = 1
    found[0, 2, 0] = found[1, 2, 1] = -freedom.bend
    found[2, 0, 0] = found[2, 1, 1] = 1
    found[3, 1, 0] = found[4, 0, 0] = found[5, 0, 1] = found[5, 1, 0] = 1
    found[3, 0, 1] = found[4, 1, 1] = -1
    found[6, 2, 0] = found[7, 2, 1] = 1
    return found[: freedom.count]


def flow(freedom: Freedom, points: Tensor) -> Tensor:
    """By how much points (..., 2) move with each parameter of a small motion: (..., count, 2)."""
    x, y = points[..., 0], points[..., 1]
    moved = torch.einsum("k i j, ... j -> ... k i", generators(freedom).float(), torch.stack([x, y, x * 0 + 1], -1))
    return moved[..., :2] - points[..., None, :] * moved[..., 2:]


def motion_of(parameters: Tensor, bend: float = 0.0) -> Tensor:
    """The motion of parameters (..., 4, 6 or 8): the matrix exponential."""
    basis = generators(Freedom(parameters.shape[-1], bend))
    return torch.linalg.matrix_exp(torch.einsum("... k, k i j -> ... i j", parameters.double(), basis))


def parameters_of(motions: Tensor, count: int) -> Tensor:
    """The parameters (..., count) of motions that move little: the matrix logarithm's first four terms."""
    step = motions - torch.eye(3, dtype=motions.dtype)
    second = step @ step
    return _read(step - second / 2 + second @ step / 3 - second @ second / 4)[..., :count]


def bent(motions: Tensor, bend: float) -> Tensor:
    """Motions (b, 3, 3) that move little, taken for those of a turning camera: the same shift, zoom and roll."""
    return motion_of(parameters_of(motions, SIMILARITY), bend)


def adjoint(motions: Tensor, freedom: Freedom) -> Tensor:
    """(b, count, count): the parameters of M exp(p) M^-1 are these matrices times p."""
    turned = motions[:, None] @ generators(freedom) @ torch.linalg.inv(motions)[:, None]
    return _read(turned)[..., : freedom.count].mT


def _read(logs: Tensor) -> Tensor:
    """The parameters (..., 8) of sums of generators."""
    (a, b, x), (c, d, y), (e, f, unit) = (logs[..., row, :].unbind(-1) for row in range(3))
    return torch.stack([x, y, (a + d) / 2 - unit, (c - b) / 2, (a - d) / 2, (b + c) / 2, e, f], dim=-1)


def farthest(motions: Tensor, others: Tensor, window: Window) -> Tensor:
    """By how many pixels two motions (b, 3, 3) differ at the window's corners, at most: (b,)."""
    width, height = window.size
    corners = window.points(torch.tensor([[x, y] for x in (0.0, width - 1.0) for y in (0.0, height - 1.0)]))
    apart = (move(motions, corners) - move(others, corners)) * window.scale
    return apart.square().sum(-1).sqrt().amax(-1)
