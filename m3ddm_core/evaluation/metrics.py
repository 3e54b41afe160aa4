"""How far a result is from the truth, in the whole frame and in regions of it.

A region is a mask, (h, w) for all frames or (n, h, w), bool; None is the whole frame. Values are means over frames,
each frame counting by its pixels in the region. A region that is empty has no values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

PSNR_CAP = 100.0
"""The decibels of two equal frames."""

SEAM_REACH = 4
"""How many pixels on either side of the border tell how much neighbours differ there anyway."""

LEAST_LEVEL = 1.0
"""Flicker, seams and sharpness are ratios of differences; below one level of 255 the denominator says nothing."""

TEXTURAL_EVERY = 8
"""DISTS looks at every so many frames: it is by far the slowest, and frames so near one another look alike to it."""

Regions = Mapping[str, np.ndarray | None]


class Perceptual(Protocol):
    """LPIPS, or what measures like it."""

    def __call__(self, truth: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames (n, h, w, 3), uint8, to distances (n,) and where they come from, (n, h, w)."""


class Textural(Protocol):
    """DISTS, or what measures like it."""

    def __call__(self, truth: np.ndarray, result: np.ndarray, masks: Sequence[np.ndarray | None]) -> list[float]:
        """Two frames (h, w, 3), uint8, to a distance for each mask (h, w), bool; None is the whole frame."""


def measure(
    truth: np.ndarray,
    result: np.ndarray,
    regions: Regions,
    perceptual: Perceptual | None = None,
    textural: Textural | None = None,
) -> dict[str, dict[str, float]]:
    """Measure a result (n, h, w, 3), uint8, against the truth; by region, then by metric.

    ``mse`` (of values in 0..1), ``psnr`` (dB), ``ssim`` (Gaussian window, sigma 1.5, as published), ``lpips`` where
    ``perceptual`` is given, ``dists`` where ``textural`` is, ``flicker`` and ``sharpness`` (see `flicker` and
    `sharpness`). Raises ValueError for unequal shapes.
    """
    if truth.shape != result.shape or truth.dtype != np.uint8 or result.dtype != np.uint8:
        raise ValueError(
            f"got a result of shape {result.shape}, {result.dtype}, for a truth of shape {truth.shape}, {truth.dtype}; "
            "expected equal shapes (n, h, w, 3), uint8"
        )
    values: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in regions}
    weights: dict[str, list[float]] = {name: [] for name in regions}
    for index, (true, made) in enumerate(zip(truth, result, strict=True)):
        maps = _maps(true, made, perceptual)
        for name, region in regions.items():
            mask = _frame_of(region, index)
            if mask is not None and not mask.any():
                continue
            weights[name].append(true[..., 0].size if mask is None else mask.sum())
            for metric, (whole, spread) in maps.items():
                values[name][metric].append(whole if mask is None else float(spread[mask].mean()))
            values[name]["psnr"].append(psnr(values[name]["mse"][-1]))
    measured = {
        name: {metric: float(np.average(of_frames, weights=weights[name])) for metric, of_frames in metrics.items()}
        for name, metrics in values.items()
    }
    for name, region in regions.items():
        ratios = {"flicker": flicker(truth, result, region), "sharpness": sharpness(truth, result, region)}
        measured[name] |= {metric: ratio for metric, ratio in ratios.items() if ratio is not None}
    if textural is not None:
        for name, distance in _textures(truth, result, regions, textural).items():
            measured[name]["dists"] = distance
    return measured


def psnr(mse: float) -> float:
    """Decibels of a mean squared error of values in 0..1; no more than ``PSNR_CAP``."""
    return PSNR_CAP if mse <= 10 ** (-PSNR_CAP / 10) else float(-10 * np.log10(mse))


def ssim(truth: np.ndarray, result: np.ndarray) -> tuple[float, np.ndarray]:
    """Structural similarity of two frames (h, w, 3), uint8, as Wang et al. (2004) have it, a mean over the channels.

    Returns the mean, which leaves out the rim that windows do not fit in, and the map (h, w).
    """
    # It brings SciPy, and seconds.
    from skimage.metrics import structural_similarity

    mean, spread = structural_similarity(
        truth,
        result,
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(mean), spread.mean(axis=-1)


def flicker(truth: np.ndarray, result: np.ndarray, region: np.ndarray | None) -> float | None:
    """How much a result changes from frame to frame, over how much the truth does: 1 is right, more is flicker.

    The mean absolute difference of a pixel in the region of two successive frames. None where there is no such pixel.
    """
    made = true = pixels = 0.0
    for index in range(len(truth) - 1):
        mask = np.True_ if region is None else _frame_of(region, index) & _frame_of(region, index + 1)
        mask = np.broadcast_to(mask, truth.shape[1:3])
        pixels += mask.sum()
        made += _difference(result[index], result[index + 1])[mask].sum()
        true += _difference(truth[index], truth[index + 1])[mask].sum()
    return float(made / max(true, LEAST_LEVEL * pixels)) if pixels else None


def sharpness(truth: np.ndarray, result: np.ndarray, region: np.ndarray | None) -> float | None:
    """The energy of a result's gradients in the region over that of the truth's: 1 is right, less is blurred.

    The mean square of the steps, in both directions, between neighbours that both lie in the region. None where there
    are none.
    """
    made = true = pairs = 0.0
    for index, (true_frame, made_frame) in enumerate(zip(truth, result, strict=True)):
        mask = _frame_of(region, index)
        mask = np.ones(true_frame.shape[:2], dtype=bool) if mask is None else mask
        for axis in (0, 1):
            inside = np.moveaxis(mask, axis, 0)
            both = inside[1:] & inside[:-1]
            pairs += both.sum()
            true += _steps(true_frame, axis)[both].sum()
            made += _steps(made_frame, axis)[both].sum()
    return float(made / max(true, LEAST_LEVEL**2 * pairs)) if pairs else None


def seam(result: np.ndarray, filled: np.ndarray) -> float | None:
    """How visible the edge of the known area is: the mean jump across it over the mean step between pixels beside it.

    ``result`` (n, h, w, 3), uint8; ``filled`` (h, w), bool. About 1 where the border continues the picture; 0 where it
    repeats the pixels at the edge; None without an edge.
    """
    jumps = jump_count = steps = step_count = 0.0
    for axis in (0, 1):
        mask = np.moveaxis(filled, axis, 0)
        across = mask[1:] != mask[:-1]
        if not across.any():
            continue
        beside = np.zeros_like(across)
        for distance in range(1, SEAM_REACH + 1):
            beside[distance:] |= across[:-distance]
            beside[:-distance] |= across[distance:]
        beside &= ~across
        frames = np.moveaxis(result, axis + 1, 1)
        for frame in frames:
            step = _difference(frame[1:], frame[:-1])
            jumps, steps = jumps + step[across].sum(), steps + step[beside].sum()
        jump_count += across.sum() * len(frames)
        step_count += beside.sum() * len(frames)
    if not jump_count or not step_count:
        return None
    return float(jumps / jump_count / max(steps / step_count, LEAST_LEVEL))


def _maps(true: np.ndarray, made: np.ndarray, perceptual: Perceptual | None) -> dict[str, tuple[float, np.ndarray]]:
    """Each metric's value for the whole frame, and where it comes from."""
    squared = ((true.astype(np.float64) - made) ** 2).mean(axis=-1) / 255**2
    maps = {"mse": (float(squared.mean()), squared), "ssim": ssim(true, made)}
    if perceptual is not None:
        distances, spread = perceptual(true[None], made[None])
        maps["lpips"] = float(distances[0]), spread[0]
    return maps


def _textures(truth: np.ndarray, result: np.ndarray, regions: Regions, textural: Textural) -> dict[str, float]:
    """Each region's mean over every eighth frame, of those in which it has pixels."""
    found: dict[str, list[float]] = defaultdict(list)
    for index in range(0, len(truth), TEXTURAL_EVERY):
        masks = {name: _frame_of(region, index) for name, region in regions.items()}
        masks = {name: mask for name, mask in masks.items() if mask is None or mask.any()}
        for name, distance in zip(masks, textural(truth[index], result[index], [*masks.values()]), strict=True):
            found[name].append(distance)
    return {name: float(np.mean(distances)) for name, distances in found.items()}


def _steps(frame: np.ndarray, axis: int) -> np.ndarray:
    """Squared differences of neighbours along an axis of (h, w, 3), which comes first: a mean over channels."""
    steps = np.diff(np.moveaxis(frame.astype(np.float32), axis, 0), axis=0)
    return np.einsum("h w c, h w c -> h w", steps, steps) / steps.shape[-1]


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean over channels of absolute differences, in levels of 255."""
    return np.abs(one.astype(np.float32) - other).mean(axis=-1)


def _frame_of(region: np.ndarray | None, index: int) -> np.ndarray | None:
    return region[index] if region is not None and region.ndim == 3 else region
