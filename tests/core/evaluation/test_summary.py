"""Means, intervals and the files that tell them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from m3ddm_core.evaluation.fvd import frechet_distance
from m3ddm_core.evaluation.protocol import PROTOCOLS, Protocol
from m3ddm_core.evaluation.report import write_report
from m3ddm_core.evaluation.runner import Record, Results
from m3ddm_core.evaluation.summary import ALL, Interval, mean_interval, paired_difference, summarise

CASES = Protocol().cases


def made_up(methods=("edge", "m3ddm"), clips=5, features=False, grouped=False) -> Results:
    """Method number m has, of clip c in case k, a PSNR of 10 c + k + m; in the first case only, a region "seen"."""
    draw = np.random.default_rng(0)
    results = Results(skipped={"bad.mp4": "it cannot be read"})
    for clip in range(clips):
        group = "fast" if grouped and clip > 2 else "slow" if grouped else ""
        results.truths[f"clip {clip}"] = draw.normal(size=(2, 3)) if features else None
        for k, case in enumerate(CASES):
            for m, method in enumerate(methods):
                values = {"frame": {"psnr": 10.0 * clip + k + m, "flicker": 1.0}, "filled": {"psnr": 1.0, "seam": 2.0}}
                if k == 0:
                    values["seen"] = {"psnr": float(clip)}
                found = draw.normal(size=(2, 3)) if features else None
                results.records.append(Record(f"clip {clip}", case, method, values, found, group))
    return results


def entry(results, **wanted):
    wanted = {"group": ALL, **wanted}
    (found,) = [e for e in summarise(results) if all(getattr(e, name) == value for name, value in wanted.items())]
    return found.value


def test_intervals():
    assert mean_interval([3.0] * 7) == Interval(3, 3, 3, 7)
    assert mean_interval([4.0]) == Interval(4, None, None, 1)
    values = np.random.default_rng(1).normal(5, 2, size=400)
    found = mean_interval(values)
    assert found == mean_interval(values), "the same every time"
    error = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - error, abs=0.02)
    assert found.high == pytest.approx(values.mean() + error, abs=0.02)
    with pytest.raises(ValueError, match="got no values"):
        mean_interval([])


def test_intervals_hold_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(2)
    found = [mean_interval(draw.normal(size=40)) for _ in range(200)]
    assert 0.88 <= np.mean([interval.low < 0 < interval.high for interval in found]) <= 0.98


def test_cases_are_averaged_before_clips_are():
    results = made_up()
    assert entry(results, method="m3ddm", case=ALL, region="frame", metric="psnr").mean == pytest.approx(22.5)
    assert entry(results, method="edge", case="vertical 0.66", region="frame", metric="psnr").mean == 23
    assert entry(results, method="edge", case=ALL, region="seen", metric="psnr") == mean_interval(range(5))


def test_groups_have_tables_of_their_own(tmp_path):
    results = made_up(grouped=True)
    assert entry(results, group="fast", method="edge", case=ALL, region="seen", metric="psnr").mean == 3.5
    assert entry(results, group="slow", method="edge", case=ALL, region="seen", metric="psnr").mean == 1
    assert entry(results, method="edge", case=ALL, region="seen", metric="psnr").mean == 2
    write_report(results, tmp_path, {})
    fast = (tmp_path / "table.md").read_text().partition("\n## Fast\n")[2].partition("\n## ")[0]
    assert "| edge | 36.50 [31.50, 41.50] |" in fast


def test_differences_are_taken_clip_by_clip():
    results = made_up()
    assert paired_difference(results, "m3ddm", "edge", region="frame", metric="psnr") == Interval(1, 1, 1, 5)
    assert paired_difference(results, "m3ddm", "edge", region="unseen", metric="psnr") is None


def test_fvd_is_over_all_windows_of_a_case():
    results = made_up(features=True)
    true = np.concatenate(list(results.truths.values()))
    of_cases = [
        frechet_distance(
            true, np.concatenate([r.features for r in results.records if r.method == "edge" and r.case == c])
        )
        for c in CASES
    ]
    found = entry(results, method="edge", case=CASES[1].label, region="frame", metric="fvd")
    assert found == Interval(pytest.approx(of_cases[1]), None, None, 5)
    overall = entry(results, method="edge", case=ALL, region="frame", metric="fvd")
    assert overall.mean == pytest.approx(np.mean(of_cases))


def test_short_clips_have_no_fvd():
    results = made_up(clips=1, features=True)
    for record in results.records:
        object.__setattr__(record, "features", np.empty((0, 0)))
    assert not [e for e in summarise(results) if e.metric == "fvd"]


def test_the_report_is_four_files(tmp_path):
    results = made_up(features=True)
    written = write_report(results, tmp_path, {"LPIPS": "none"})
    assert sorted(path.name for path in written) == ["chart.png", "table.csv", "table.json", "table.md"]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "table.md").read_text()
    assert "| edge | 21.50 [" in table and "| m3ddm | 22.50 [" in table
    assert "M3DDM on DAVIS, published" not in table and "`--protocol published`" in table
    assert "| m3ddm | +1.00 [+1.00, +1.00] |" in table
    assert "skipped 1: bad.mp4: it cannot be read" in table and "- LPIPS: none" in table
    for name in ("DAVIS 2017", "i3d-kinetics-400.ckpt", "diffusion_pytorch_model.bin", "alexnet"):
        assert name in table.partition("## To repeat")[2]
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert len(rows) == len(summarise(results))
    row = next(row for row in rows if row["method"] == "edge" and row["metric"] == "seam" and row["case"] == "all")
    assert (row["region"], row["mean"], row["low"], row["clips"]) == ("filled", "2.0", "2.0", "5")
    content = json.loads((tmp_path / "table.json").read_text())
    assert len(content["clips"]) == len(results.records) and len(content["table"]) == len(rows)
    assert content["published"]["M3DDM on DAVIS, published"]["ssim"] == 0.708


def test_published_figures_stand_beside_what_was_measured_their_way(tmp_path):
    results = made_up(features=True)
    results.records[:] = [record for record in results.records if record.case in PROTOCOLS["published"].cases]
    write_report(results, tmp_path, {})
    table = (tmp_path / "table.md").read_text()
    assert "| M3DDM on DAVIS, published | 20.26 | 300.0 |" in table
    assert "| M3DDM on YouTube-VOS, published | 20.20 | 66.6 |" in table
    assert "--protocol" not in table


def test_one_clip_has_means_without_intervals(tmp_path):
    write_report(made_up(methods=("edge",), clips=1), tmp_path, {})
    assert "| edge | 1.50 |" in (tmp_path / "table.md").read_text()
    assert "Difference" not in (tmp_path / "table.md").read_text()


def test_nothing_measured_is_told(tmp_path):
    with pytest.raises(
        ValueError, match=r"no clip that can be measured \(.*bad\.mp4: it cannot be read\), expected one"
    ):
        write_report(Results(skipped={"bad.mp4": "it cannot be read"}), tmp_path, {})
