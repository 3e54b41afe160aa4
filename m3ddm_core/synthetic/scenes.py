"""Synthetic scenes: painted worlds seen by a moving camera, in which it is known what every pixel shows.

Since the world is known, it is also known for each pixel beyond the border of a clip whether another frame shows it.
So what a model can know is exactly separated from what it has to make up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .camera import Camera, Motion, draw_camera
from .textures import Palette
from .worlds import KINDS, Frame, Layer, layer_scales, make_world

KNOWN, SEEN, NEVER = 0, 1, 2
"""Inside the source window; outside, but shown by another frame's window; shown by none."""

OPAQUE = 0.5


@dataclass(frozen=True)
class Scene:
    """A painted world and its camera; frames are rendered at any time in 0..``frames`` - 1."""

    size: tuple[int, int]
    frames: int
    kind: str
    camera: Camera
    layers: tuple[Layer, ...]

    def render(self, times: np.ndarray) -> Tensor:
        """Return frames (n, h, w, 3), float32, 0..1, at times (n,) in frames."""
        picture, _ = self._draw(np.asarray(times), with_layers=False)
        return rearrange(picture, "c n h w -> n h w c").contiguous()

    def visibility(self, times: np.ndarray, window: tuple[int, int, int, int], others: np.ndarray) -> Tensor:
        """Tell what a source window (x, y, width, height) of the view knows of each pixel.

        Returns (n, h, w) uint8 for the frames at ``times``: ``KNOWN`` inside the window, ``SEEN`` where the window
        shows that point of the world in any of the frames at ``others``, ``NEVER`` where it does not. A point is
        taken to be shown where no nearer layer covers it, to within a texel.
        """
        times, others = np.asarray(times), np.asarray(others)
        _, shown = self._draw(others, with_layers=True)
        _, asked = self._draw(times, with_layers=True)
        x, y, width, height = window
        result = torch.full(asked.shape, NEVER, dtype=torch.uint8, device=asked.device)
        for number, layer in enumerate(self.layers):
            atlas = self._seen_texels(layer, number, others, shown, window)
            column, row = self._texel_numbers(layer, times)
            inside = (asked == number) & _within(column, row, layer)
            seen = atlas[row.clamp(0, atlas.shape[0] - 1), column.clamp(0, atlas.shape[1] - 1)]
            result[inside & seen] = SEEN
        result[:, y : y + height, x : x + width] = KNOWN
        return result

    def _draw(self, times: np.ndarray, *, with_layers: bool) -> tuple[Tensor, Tensor]:
        """Return colours (3, n, h, w) and, if asked for, the number of the layer that each pixel shows (n, h, w)."""
        width, height = self.size
        device = self.layers[0].sheet.texels.device
        picture = torch.zeros(3, len(times), height, width, device=device)
        shown = torch.zeros(len(times) if with_layers else 0, height, width, dtype=torch.uint8, device=device)
        for number, layer in enumerate(self.layers):
            for box, part in self._parts(layer, times):
                colour, opacity = self._sample(layer, times[part], box)
                x0, y0, x1, y1 = box
                below = picture[:, part, y0:y1, x0:x1]
                if number == 0:
                    below.copy_(colour)
                else:
                    below.mul_(1 - opacity).add_(colour)
                if with_layers:
                    shown[part, y0:y1, x0:x1].masked_fill_(opacity > OPAQUE, number)
        return picture.clamp_(0, 1), shown

    def _parts(self, layer: Layer, times: np.ndarray) -> list[tuple[tuple[int, int, int, int], slice]]:
        """Cut the work on a layer: all frames at once, or for a sprite each frame's small box."""
        width, height = self.size
        if layer.path is None:
            return [((0, 0, width, height), slice(0, len(times)))]
        positions, scales, rolls = self.camera.at(times)
        scales = layer_scales(scales, layer.depth)
        points = (layer.path(times) - positions * layer.depth) * scales[:, None]
        cos, sin = np.cos(rolls), np.sin(rolls)
        points = np.stack([cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]], axis=-1)
        points += np.array(self.size) / 2
        reach = scales * max(layer.sheet.size) * 0.75 + 2
        low = np.maximum(np.floor(points - reach[:, None]), 0).astype(int)
        high = np.minimum(np.ceil(points + reach[:, None]), self.size).astype(int)
        return [
            ((low[i, 0], low[i, 1], high[i, 0], high[i, 1]), slice(i, i + 1))
            for i in range(len(times))
            if (low[i] < high[i]).all()
        ]

    def _texels(self, layer: Layer, times: np.ndarray, box: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
        """Return where on a layer's sheet each pixel of a box looks: columns and rows (n, h, w), in texels."""
        matrix, shift = self._affine(layer, times)
        x0, y0, x1, y1 = box
        device = layer.sheet.texels.device
        x = torch.arange(x0, x1, device=device, dtype=torch.float32)[None, None, :]
        y = torch.arange(y0, y1, device=device, dtype=torch.float32)[None, :, None]
        matrix, shift = (torch.from_numpy(a).to(device, torch.float32)[..., None, None] for a in (matrix, shift))
        column = matrix[:, 0, 0] * x + matrix[:, 0, 1] * y + shift[:, 0]
        row = matrix[:, 1, 0] * x + matrix[:, 1, 1] * y + shift[:, 1]
        return column, row

    def _affine(self, layer: Layer, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return matrices (n, 2, 2) and shifts (n, 2) from pixels to texels of a layer."""
        positions, scales, rolls = self.camera.at(times)
        scales = layer_scales(scales, layer.depth)
        cos, sin = np.cos(rolls) / scales, np.sin(rolls) / scales
        matrix = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=-2)
        # Pixel i covers i to i + 1: its middle is what is looked at.
        middle = (np.array(self.size) - 1) / 2
        shift = positions * layer.depth - np.array(layer.sheet.origin) - matrix @ middle
        return matrix, shift if layer.path is None else shift - layer.path(times)

    def _sample(self, layer: Layer, times: np.ndarray, box: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
        """Return premultiplied colours (3, n, h, w) and opacity (n, h, w) of a layer in a box of the view."""
        column, row = self._texels(layer, times, box)
        width, height = layer.sheet.size
        grid = torch.stack([column * (2 / (width - 1)) - 1, row * (2 / (height - 1)) - 1], dim=-1)
        n, h = column.shape[:2]
        # All frames look at one sheet: as one tall picture they do so in one call.
        grid = rearrange(grid, "n h w xy -> 1 (n h) w xy")
        padding = "border" if layer.path is None else "zeros"
        texels = F.grid_sample(layer.sheet.texels[None], grid, padding_mode=padding, align_corners=True)
        texels = rearrange(texels[0], "c (n h) w -> c n h w", n=n, h=h)
        return texels[:3], texels[3]

    def _texel_numbers(self, layer: Layer, times: np.ndarray) -> tuple[Tensor, Tensor]:
        column, row = self._texels(layer, times, (0, 0, *self.size))
        return column.round().long(), row.round().long()

    def _seen_texels(
        self, layer: Layer, number: int, times: np.ndarray, shown: Tensor, window: tuple[int, int, int, int]
    ) -> Tensor:
        """Mark the texels (h, w) of a layer that the window shows at any of the times."""
        width, height = layer.sheet.size
        device = shown.device
        atlas = torch.zeros(height, width, dtype=torch.bool, device=device)
        columns = torch.arange(width, device=device, dtype=torch.float32)[None, :]
        rows = torch.arange(height, device=device, dtype=torch.float32)[:, None]
        left, top, wide, high = window
        for i, (matrix, shift) in enumerate(zip(*self._affine(layer, times), strict=True)):
            back = np.linalg.inv(matrix)
            offset = -back @ shift
            x = (float(back[0, 0]) * columns + float(back[0, 1]) * rows + float(offset[0])).round().long()
            y = (float(back[1, 0]) * columns + float(back[1, 1]) * rows + float(offset[1])).round().long()
            inside = (x >= left) & (x < left + wide) & (y >= top) & (y < top + high)
            atlas |= inside & (shown[i][y.clamp(0, self.size[1] - 1), x.clamp(0, self.size[0] - 1)] == number)
        return atlas


def _within(column: Tensor, row: Tensor, layer: Layer) -> Tensor:
    width, height = layer.sheet.size
    return (column >= 0) & (column < width) & (row >= 0) & (row < height)


def make_scene(
    seed: int | tuple[int, ...],
    size: tuple[int, int],
    frames: int,
    motion: Motion,
    *,
    kind: str | None = None,
    detail: float = 1.0,
    sprites: int = 2,
    device: torch.device | str = "cpu",
) -> Scene:
    """Paint a world for a video of ``frames`` frames of ``size`` (width, height) pixels.

    ``seed`` decides everything; ``kind`` is one of ``KINDS`` (None: drawn); ``detail`` in 0..1 says how much there is
    to see; ``sprites`` is the number of things that move by themselves. Raises ``ValueError`` for values out of range.
    """
    if frames < 1 or min(size) < 8 or sprites < 0 or not 0 <= detail <= 1 or kind not in (None, *KINDS):
        raise ValueError(
            f"got {frames} frames of {size[0]}x{size[1]}, {sprites} sprites, detail {detail} and kind {kind!r}; "
            f"expected at least one frame of 8x8, no negative number, detail in 0..1 and a kind of {', '.join(KINDS)}"
        )
    rng = np.random.default_rng(seed)
    kind = kind or KINDS[rng.integers(len(KINDS))]
    camera = draw_camera(rng, motion, size, frames)
    frame = Frame(size, camera, frames, device)
    layers = make_world(rng, frame, kind, detail, sprites, Palette(rng, device))
    return Scene(size, frames, kind, camera, tuple(layers))
