"""The table as Markdown, CSV and JSON, and as a bar chart."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from .protocol import PROTOCOLS
from .published import CAVEAT, ELSEWHERE, PUBLISHED, TO_REPEAT
from .runner import Results
from .summary import ALL, DETAILS, METRICS, REGIONS, Entry, Interval, paired_difference, summarise

MISSING = "–"
_ARROWS = {"higher": "↑", "lower": "↓", "one": "→1"}


def write_report(results: Results, folder: Path, settings: dict[str, object]) -> list[Path]:
    """Write ``table.md``, ``table.csv``, ``table.json`` and, with matplotlib, ``chart.png``; return what was written.

    ``settings`` are those of the run; the table lists them. Raises ValueError where nothing was measured.
    """
    if not results.records:
        raise ValueError(
            f"got no clip that can be measured ({_skipped(results) or 'none at all'}), expected one or more"
        )
    entries = summarise(results)
    texts = {
        "table.md": _markdown(results, entries, settings),
        "table.json": json.dumps(_json(results, entries, settings), indent=1),
    }
    paths = []
    for name, text in texts.items():
        paths.append(folder / name)
        paths[-1].write_text(text, encoding="utf-8")
    paths.append(folder / "table.csv")
    with paths[-1].open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "group", "case", "region", "metric", "mean", "low", "high", "clips"])
        for e in entries:
            writer.writerow([e.method, e.group, e.case, e.region, e.metric, *asdict(e.value).values()])
    if draw_chart(entries, folder / "chart.png"):
        paths.append(folder / "chart.png")
    return paths


def draw_chart(entries: Sequence[Entry], path: Path) -> bool:
    """Draw a panel for each metric of all cases, a bar for each method. Returns False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    of_all = [entry for entry in entries if entry.case == entry.group == ALL]
    wanted = [("frame", metric) for metric in ("psnr", "ssim", "lpips", "i3d", "fvd")]
    wanted += [("filled", metric) for metric in ("psnr", "lpips", "dists", "sharpness", "flicker", "seam")]
    wanted += [(region, "psnr") for region in ("seen", "unseen")]
    panels = [panel for panel in wanted if any((entry.region, entry.metric) == panel for entry in of_all)]
    methods = list(dict.fromkeys(entry.method for entry in of_all))
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 0.9 * rows + 0.38 * rows * len(methods)), layout="constrained")
    for axes, (region, metric) in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=False):
        values = {e.method: e.value for e in of_all if (e.region, e.metric) == (region, metric)}
        shown = [method for method in methods if method in values]
        means = [values[method].mean for method in shown]
        below = [values[m].mean - values[m].low if values[m].low is not None else 0 for m in shown]
        above = [values[m].high - values[m].mean if values[m].high is not None else 0 for m in shown]
        colours = [f"C{methods.index(method)}" for method in shown]
        axes.barh(shown, means, xerr=[below, above], color=colours, alpha=0.6, height=0.7, error_kw={"elinewidth": 1})
        axes.invert_yaxis()
        axes.set_title(f"{_head(metric)}, {region}", fontsize=9)
        axes.tick_params(labelsize=7)
        for row, mean in enumerate(means):
            axes.annotate(_number(mean, metric), (0, row), (3, 0), textcoords="offset points", va="center", fontsize=7)
        if METRICS[metric].better == "one":
            axes.axvline(1, color="black", linewidth=0.8)
    for axes in figure.axes[len(panels) :]:
        axes.set_axis_off()
    figure.savefig(path, dpi=120)
    return True


def _markdown(results: Results, entries: Sequence[Entry], settings: dict[str, object]) -> str:
    methods = list(dict.fromkeys(entry.method for entry in entries))
    cases = [case for case in dict.fromkeys(entry.case for entry in entries) if case != ALL]
    clips = len({record.clip for record in results.records})
    lines = [
        "# Evaluation",
        "",
        f"Clips: {clips}. Cases: {', '.join(cases)}. Means over clips, with 95 % bootstrap intervals.",
        "",
        *(f"- {name}: {value}" for name, value in settings.items()),
    ]
    if results.skipped:
        lines.append(f"- skipped {len(results.skipped)}: {_skipped(results)}")
    comparable = {record.case for record in results.records} == set(PROTOCOLS["published"].cases)
    for region, title in REGIONS.items():
        if table := _table(entries, methods, ALL, ALL, region):
            published = _published(_metrics(entries, region)) if region == "frame" and comparable else []
            lines += ["", f"## {title}", "", *table, *published]
    lines += ["", CAVEAT if comparable else f"{ELSEWHERE} {CAVEAT}"]
    groups = [group for group in dict.fromkeys(entry.group for entry in entries) if group != ALL]
    for part in [(group, ALL) for group in groups] + [(ALL, case) for case in cases]:
        lines += ["", f"## {next(name for name in part if name != ALL).capitalize()}"]
        for region, title in REGIONS.items():
            if region not in DETAILS and (table := _table(entries, methods, *part, region)):
                lines += ["", f"{title}:", "", *table]
    if len(methods) > 1:
        lines += ["", *_differences(results, entries, methods)]
    lines += ["", "## To repeat the paper's Table 1", "", *(f"- {line}" for line in TO_REPEAT)]
    return "\n".join(lines) + "\n"


def _table(entries: Sequence[Entry], methods: Iterable[str], group: str, case: str, region: str) -> list[str]:
    wanted = (group, case, region)
    found = {(e.method, e.metric): e.value for e in entries if (e.group, e.case, e.region) == wanted}
    metrics = _metrics(entries, region)
    if not found:
        return []
    rows = [[method, *(_cell(found.get((method, metric)), metric) for metric in metrics)] for method in methods]
    return _lines(["method", *map(_head, metrics)], rows)


def _published(metrics: Sequence[str]) -> list[str]:
    rows = []
    for name, figures in PUBLISHED.items():
        rows.append([name, *(_number(figures[metric], metric) if metric in figures else MISSING for metric in metrics)])
    return [_line(row) for row in rows]


def _differences(results: Results, entries: Sequence[Entry], methods: Sequence[str]) -> list[str]:
    first, *others = methods
    lines = [f"## Difference from {first}, clip by clip", ""]
    for region in REGIONS:
        metrics = [metric for metric in _metrics(entries, region) if metric != "fvd"]
        if not metrics:
            continue
        rows = []
        for method in others:
            differences = (
                paired_difference(results, method, first, region=region, metric=metric) for metric in metrics
            )
            cells = (_cell(value, metric, sign="+") for value, metric in zip(differences, metrics, strict=True))
            rows.append([method, *cells])
        lines += [f"{REGIONS[region]}:", "", *_lines(["method", *map(_head, metrics)], rows), ""]
    return lines[:-1]


def _metrics(entries: Sequence[Entry], region: str) -> list[str]:
    found = {entry.metric for entry in entries if entry.region == region}
    # Flicker and sharpness of known pixels are the truth's own: over the whole frame they say little.
    hidden = {"flicker", "sharpness"} if region == "frame" else set()
    return [metric for metric in METRICS if metric in found - hidden]


def _head(metric: str) -> str:
    return f"{METRICS[metric].title} {_ARROWS[METRICS[metric].better]}"


def _cell(value: Interval | None, metric: str, sign: str = "") -> str:
    if value is None:
        return MISSING
    mean = _number(value.mean, metric, sign)
    if value.low is None or value.high is None:
        return mean
    return f"{mean} [{_number(value.low, metric, sign)}, {_number(value.high, metric, sign)}]"


def _number(value: float, metric: str, sign: str = "") -> str:
    return f"{value:{sign}.{METRICS[metric].digits}f}"


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] + ["---:"] * (len(head) - 1)), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _skipped(results: Results) -> str:
    return "; ".join(f"{name}: {why}" for name, why in results.skipped.items())


def _json(results: Results, entries: Sequence[Entry], settings: dict[str, object]) -> dict[str, object]:
    return {
        "settings": settings,
        "skipped": results.skipped,
        "published": PUBLISHED,
        "table": [asdict(entry) for entry in entries],
        "clips": [
            {"clip": record.clip, "case": record.case.label, "method": record.method, "values": record.values}
            for record in results.records
        ],
    }
