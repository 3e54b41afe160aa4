"""From records to means with confidence intervals. The unit is the clip: its cases are averaged before clips are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .fvd import frechet_distance
from .runner import Record, Results
from .seen import AGES, CLAIMED

ALL = "all"
RESAMPLES = 2000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class Metric:
    """How a metric is shown: its title, its digits, and what is good: "higher", "lower", or near "one"."""

    title: str
    digits: int
    better: str


METRICS = {
    "mse": Metric("MSE", 4, "lower"),
    "psnr": Metric("PSNR", 2, "higher"),
    "ssim": Metric("SSIM", 3, "higher"),
    "lpips": Metric("LPIPS", 3, "lower"),
    "dists": Metric("DISTS", 3, "lower"),
    "i3d": Metric("I3D", 2, "lower"),
    "fvd": Metric("FVD", 1, "lower"),
    "sharpness": Metric("sharpness", 2, "one"),
    "flicker": Metric("flicker", 2, "one"),
    "seam": Metric("seam", 2, "one"),
    "share": Metric("share", 3, "higher"),
    "off": Metric("far off", 4, "lower"),
}
REGIONS = {
    "frame": "Whole frame, the known area put back",
    "filled": "Filled area",
    "early": "Filled area, first quarter of the frames",
    "late": "Filled area, last quarter of the frames",
    "seen": "Filled area, seen in another frame",
    "unseen": "Filled area, never seen",
    CLAIMED: "Filled area, said to be what another frame has filmed",
    **{name: f"The same, filmed {first} to {last} frames away" for name, (first, last) in AGES.items()},
}
DETAILS = {"early", "late", *AGES}
"""Regions that stand once, for all clips and cases."""


@dataclass(frozen=True)
class Interval:
    """A mean over ``clips`` clips, with its 95 % bootstrap interval; None where one clip, or FVD, gives none."""

    mean: float
    low: float | None
    high: float | None
    clips: int


@dataclass(frozen=True)
class Entry:
    """One number of the table: ``group`` and ``case`` are those of clips and cases, or "all"."""

    method: str
    group: str
    case: str
    region: str
    metric: str
    value: Interval


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean and percentile bootstrap interval of clips' values. Raises ValueError for none."""
    given = np.asarray(values, dtype=np.float64)
    if not given.size:
        raise ValueError("got no values, expected one a clip")
    if given.size == 1:
        return Interval(float(given[0]), None, None, 1)
    drawn = np.random.default_rng(SEED).integers(given.size, size=(RESAMPLES, given.size))
    low, high = np.quantile(given[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(given.mean()), float(low), float(high), given.size)


def paired_difference(
    results: Results, method: str, other: str, *, region: str, metric: str, case: str = ALL
) -> Interval | None:
    """How much more ``method`` has of a metric than ``other``, over the clips that both were measured on.

    Clips differ more than methods do; of the differences the interval is far narrower than those of either. None where
    no clip has both.
    """
    one, two = (clip_values(results.records, name, case, region, metric) for name in (method, other))
    differences = [one[clip] - two[clip] for clip in one if clip in two]
    return mean_interval(differences) if differences else None


def clip_values(records: Sequence[Record], method: str, case: str, region: str, metric: str) -> dict[str, float]:
    """One value a clip: the mean over its cases, of those in which it has one."""
    found: dict[str, list[float]] = {}
    for record in records:
        value = record.values.get(region, {}).get(metric)
        if record.method == method and case in (ALL, record.case.label) and value is not None:
            found.setdefault(record.clip, []).append(value)
    return {clip: float(np.mean(values)) for clip, values in found.items()}


def summarise(results: Results) -> list[Entry]:
    """Every method, group, case, region and metric that there is a number for; FVD for the whole frame."""
    groups = [group for group in dict.fromkeys(record.group for record in results.records) if group]
    cases = list(dict.fromkeys(record.case.label for record in results.records))
    return [entry for group in (ALL, *groups) for entry in _entries(of_group(results, group), group, (ALL, *cases))]


def of_group(results: Results, group: str) -> Results:
    """The results of the clips of one group, or of "all"."""
    return replace(results, records=[record for record in results.records if group in (ALL, record.group)])


def _entries(results: Results, group: str, cases: Sequence[str]) -> Iterator[Entry]:
    for method in dict.fromkeys(record.method for record in results.records):
        for case in cases:
            for region in REGIONS:
                for metric in METRICS:
                    if values := clip_values(results.records, method, case, region, metric):
                        yield Entry(method, group, case, region, metric, mean_interval(list(values.values())))
                if region == "frame" and (distance := _fvd(results, method, case)) is not None:
                    yield Entry(method, group, case, region, "fvd", distance)


def _fvd(results: Results, method: str, case: str) -> Interval | None:
    """Between all windows of all clips, as made and as they are; the mean over cases for "all"."""
    by_case: dict[str, list[Record]] = {}
    for record in results.records:
        if record.method == method and case in (ALL, record.case.label) and record.features is not None:
            by_case.setdefault(record.case.label, []).append(record)
    distances = []
    for records in by_case.values():
        # A clip shorter than a window has no features.
        records = [record for record in records if len(record.features) and record.clip in results.truths]
        if sum(len(record.features) for record in records) < 2:
            return None
        made = np.concatenate([record.features for record in records])
        true = np.concatenate([results.truths[record.clip] for record in records])
        distances.append(frechet_distance(true, made))
    return Interval(float(np.mean(distances)), None, None, len(records)) if distances else None
