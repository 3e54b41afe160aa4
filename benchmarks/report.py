"""What the benchmark prints and draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FRAME_RATE = 24
"""Frames a second of the video, where its time is told by the second that it lasts."""

COLOURS = {"ours": "#0f766e", "published": "#a1a1aa"}


def rows(result: dict[str, Any]) -> list[tuple[str, str, list[float | None], str]]:
    """Lines of the table: label, format of a value, one value a side, unit."""
    sides = result["sides"]

    def each(value: Any) -> list[float | None]:
        return [value(side) for side in sides]

    return [
        ("guided step", ".3g", each(lambda s: s["step_seconds"]), "s"),
        ("  network evaluations", ".0f", each(lambda s: s["step_evaluations"]), ""),
        ("  operations", ".2f", each(lambda s: s["step_flops"] / 1e12), "TFLOP"),
        ("  operations a second", ".3f", each(lambda s: s["step_flops"] / s["step_seconds"] / 1e12), "TFLOP/s"),
        ("  a matrix product's", ".3f", each(lambda s: s["matrix_rate"] / 1e12), "TFLOP/s"),
        ("  time over matrix time", ".2f", each(lambda s: s["step_seconds"] * s["matrix_rate"] / s["step_flops"]), ""),
        ("  peak beyond weights", ".2f", each(lambda s: s["peak_bytes"] / 1e9), "GB"),
        (f"clip of {sides[0]['clip_steps']} steps", ".2f", each(lambda s: s["clip_seconds"]), "s"),
        (f"video, {result['video_frames']} frames: clips", ".0f", each(lambda s: s["video_clips"]), ""),
        ("  network evaluations", ".0f", each(lambda s: s["video_evaluations"]), ""),
        ("  operations", ".1f", each(_video_operations(result)), "PFLOP"),
        ("  time, extrapolated", ".3g", each(lambda s: s["video_seconds"] / 3600), "h"),
    ]


def _video_operations(result: dict[str, Any]) -> Any:
    return lambda s: s["video_clips"] * result["release_steps"] * s["step_flops"] / 1e15


def _dtypes(result: dict[str, Any]) -> str:
    own, published = (result["options"][name] for name in ("dtype", "reference_dtype"))
    return own if own == published or len(result["sides"]) == 1 else f"{own} (published: {published})"


def table(result: dict[str, Any]) -> str:
    """Fixed-width text; the last column is ours over the published code's, where that was measured."""
    options, machine = result["options"], result["machine"]
    both = len(result["sides"]) == 2
    head = (
        f"{'':28s}" + "".join(f"{side['name']:>12s}" for side in result["sides"]) + (f"{'ratio':>9s}" if both else "")
    )
    lines = [
        f"{options['network']} network, {options['frames']} frames of {options['size']}x{options['size']}, "
        f"{_dtypes(result)}, median of {options['repeats']}",
        f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}, {machine['date']}",
        "",
        head,
    ]
    for label, form, values, unit in rows(result):
        if None in values:
            continue
        ratio = f"{values[0] / values[1]:8.3f}x" if both and values[1] else ""
        lines.append(f"{label:28s}" + "".join(f"{value:>12{form}}" for value in values) + f"{ratio}  {unit}".rstrip())
    lines += [
        "",
        f"{'preset, of ours':28s}{'evaluations':>12s}{'PFLOP':>12s}{'hours':>12s}{'s/s of video':>14s}"
        f"{'operations over published':>28s}",
    ]
    for preset in result["presets"]:
        ratio = "" if preset["operations_ratio"] is None else f"{preset['operations_ratio']:27.3f}x"
        name, evaluations = preset["name"], preset["evaluations"]
        values = (preset["flops"] / 1e15, preset["seconds"] / 3600)
        pace = preset["seconds"] / (result["video_frames"] / FRAME_RATE)
        lines.append(f"  {name:26s}{evaluations:>12d}{values[0]:>12.1f}{values[1]:>12.3g}{pace:>14.1f}{ratio}")
    lines.append("")
    lines.append(
        f"The video's time is the step's times {result['release_steps']} steps a clip times its clips: not measured; a "
        f"preset's is that by its operations. A second of video is {FRAME_RATE} frames."
    )
    if "relative_difference" in result:
        lines.append(
            f"Largest difference of the step's noise over its largest value: {result['relative_difference']:.1e}"
        )
    return "\n".join(lines)


def draw(result: dict[str, Any], file: Path) -> None:
    """Bars for time, operations and memory of a step, and for the hours of a video."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sides = result["sides"]
    panels = (
        ("guided step, seconds", [side["step_seconds"] for side in sides]),
        ("guided step, TFLOP", [side["step_flops"] / 1e12 for side in sides]),
        ("peak beyond weights, GB", [side["peak_bytes"] / 1e9 for side in sides]),
        (f"{result['video_frames']} frames, hours (extrapolated)", [side["video_seconds"] / 3600 for side in sides]),
    )
    names = [side["name"] for side in sides]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3 * len(panels), 3.2), constrained_layout=True)
    for axis, (title, values) in zip(axes, panels, strict=True):
        bars = axis.bar(names, values, color=[COLOURS[name] for name in names])
        axis.bar_label(bars, fmt="%.3g")
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    options, machine = result["options"], result["machine"]
    figure.suptitle(
        f"{options['network']} network, {options['frames']} frames of {options['size']} px, {_dtypes(result)}, "
        f"{machine['device']}, {machine['threads']} threads"
    )
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
