"""The soak's figures and plot, of samples that are made up."""

from __future__ import annotations

import pytest

from benchmarks.soak import levels, plot

SAMPLES = [
    {
        "second": float(number),
        "outcome": "cancelled" if number % 3 == 0 else "finished",
        "memory_bytes": 1_000_000_000 + 1_000_000 * number,
        "tensor_bytes": 30_000_000,
        "handles": 20,
        "threads": 9,
        "files": 0,
        "files_bytes": 0,
        "journal_bytes": 2_000_000,
    }
    for number in range(40)
]


def test_the_second_quarter_is_held_against_the_last():
    found = levels(SAMPLES)
    assert found["memory_bytes"] == {"second": 1_014_500_000, "last": 1_034_500_000}
    assert found["handles"] == {"second": 20, "last": 20} and "outcome" not in found and "second" not in found


def test_the_plot_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    plot(SAMPLES, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 10_000
