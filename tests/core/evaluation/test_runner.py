"""The bench: everything is measured once, whatever happens in between."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from m3ddm_core.evaluation.methods import Fill
from m3ddm_core.evaluation.protocol import Protocol, Source
from m3ddm_core.evaluation.runner import Bench, Instruments
from m3ddm_core.evaluation.videos import read_result
from tests.helpers.moving_clips import SIZE, CountedSources

PROTOCOL = Protocol(size=SIZE, ratios=(0.25, 0.66))
CASES = len(PROTOCOL.cases)


@dataclasses.dataclass
class Slow:
    """Fills with grey, counts its calls, and fails at one of them."""

    label: str = "slow"
    identity: str = "slow"
    description: str = "grey"
    slow: bool = True
    looks_around: bool = False
    calls: int = 0
    fails_at: int = -1

    def __call__(self, known, placement, fps, report, whole):
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("killed")
        report(0.5)
        left, top, right, bottom = placement.border
        return np.pad(known, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=90 + self.calls)


def bench(folder, *methods, instruments=Instruments(), grids=False, protocol=PROTOCOL):  # noqa: B008
    return Bench(folder, protocol, methods, instruments, grids=grids)


def values_of(results):
    return [(record.clip, record.case.label, record.method, record.values) for record in results.records]


def test_every_clip_case_and_method_is_measured_once(tmp_path):
    counted, slow, watched = CountedSources(2), Slow(), []
    runner = bench(tmp_path, Fill("edge"), slow)
    first = runner.run(counted.sources, lambda what, done: watched.append(done))
    assert len(first.records) == 2 * CASES * 2 and slow.calls == 2 * CASES and counted.loads == 2
    assert watched == sorted(watched) and 0.5 + 1 in watched
    assert set(first.records[0].values) == {"frame", "filled", "early", "late"}
    assert set(first.records[0].values["filled"]) == {"mse", "psnr", "ssim", "flicker", "sharpness", "seam"}
    again = runner.run(counted.sources)
    assert values_of(again) == values_of(first)
    assert slow.calls == 2 * CASES and counted.loads == 2, "what is remembered needs neither method nor clip"


def test_a_killed_run_goes_on(tmp_path):
    counted, slow = CountedSources(2), Slow(fails_at=6)
    with pytest.raises(RuntimeError, match="killed"):
        bench(tmp_path, slow).run(counted.sources)
    results = bench(tmp_path, slow).run(counted.sources)
    assert slow.calls == 2 * CASES + 1 and len(results.records) == 2 * CASES


def test_another_instrument_samples_nothing_anew(tmp_path):
    counted, slow = CountedSources(1), Slow()
    plain = bench(tmp_path, slow).run(counted.sources)
    counting = Instruments(lambda truth, result: (np.ones(len(truth)), np.ones(truth.shape[:3])), identity="ones")
    more = bench(tmp_path, slow, instruments=counting).run(counted.sources)
    assert slow.calls == CASES
    for one, two in zip(plain.records, more.records, strict=True):
        assert all(values.pop("lpips") == 1 for values in two.values.values())
        assert one.values == two.values, "what was kept of the result is the result"


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": Protocol(size=SIZE, ratios=(0.25, 0.66), fit="stretch")},
        {"protocol": Protocol(size=SIZE, ratios=(0.25, 0.66), frames=3)},
        {"slow": Slow(identity="slow, other settings")},
        {"source": "another seed"},
    ],
)
def test_what_changes_a_result_is_measured_anew(tmp_path, change):
    counted, slow = CountedSources(1), Slow()
    bench(tmp_path, slow).run(counted.sources)
    other = change.get("slow", slow)
    before = other.calls
    (source,) = counted.sources
    source = Source(source.name, change.get("source", source.identity), source.load)
    bench(tmp_path, other, protocol=change.get("protocol", PROTOCOL)).run([source])
    assert other.calls - before == CASES


def test_a_damaged_memory_is_measured_anew(tmp_path):
    counted = CountedSources(1)
    first = bench(tmp_path, Fill("edge")).run(counted.sources)
    for path in (tmp_path / "cache" / "measured").iterdir():
        path.write_text(path.read_text()[:20])
    assert values_of(bench(tmp_path, Fill("edge")).run(counted.sources)) == values_of(first)


def test_a_clip_that_cannot_be_read_is_skipped_and_named(tmp_path):
    counted = CountedSources(3, broken=1)
    results = bench(tmp_path, Fill("edge")).run(counted.sources)
    assert results.skipped == {"clip 1": "it cannot be read"}
    assert {record.clip for record in results.records} == {"clip 0", "clip 2"}


def test_features_are_kept_for_results_and_truths(tmp_path):
    counted = CountedSources(2)
    means = Instruments(i3d=lambda frames: frames[:2].mean((1, 2)), identity="means")
    for _ in range(2):
        results = bench(tmp_path, Fill("edge"), instruments=means).run(counted.sources)
        assert results.records[0].features.shape == (2, 3)
        assert set(results.truths) == {"clip 0", "clip 1"} and results.truths["clip 0"].shape == (2, 3)
        record = results.records[0]
        apart = np.linalg.norm(record.features - results.truths["clip 0"], axis=1).mean()
        assert apart > 0 and record.values["frame"]["i3d"] == pytest.approx(apart), "each to its own truth"
    assert counted.loads == 2


def test_grids_show_truth_given_and_methods_and_are_not_made_twice(tmp_path):
    counted, slow = CountedSources(1), Slow()
    runner = bench(tmp_path, Fill("edge"), slow, grids=True)
    runner.run(counted.sources)
    (path,) = (tmp_path / "grids").iterdir()
    frames = read_result(path)
    assert path.name == "clip 0.mp4"
    assert frames.shape == (6, 24 + CASES * (24 + SIZE), 4 * SIZE, 3)
    truth = counted.load(0, PROTOCOL).frames
    cell = frames[:, 48 : 48 + SIZE, :SIZE].astype(float)
    assert np.abs(cell - truth).mean() < np.abs(cell - truth[::-1]).mean()
    given = frames[:, 48 : 48 + SIZE, SIZE : SIZE + 3].astype(float)
    assert np.abs(given - 128).mean() < 12, "what is taken away is grey"
    written = path.stat().st_mtime_ns
    runner.run(counted.sources)
    assert path.stat().st_mtime_ns == written and slow.calls == CASES


def test_methods_have_names_of_their_own(tmp_path):
    with pytest.raises(ValueError, match="got methods named edge, edge, expected each name once"):
        bench(tmp_path, Fill("edge"), Fill("edge"))


def test_the_memory_is_plain_json(tmp_path):
    bench(tmp_path, Fill("edge")).run(CountedSources(1).sources)
    entries = [json.loads(path.read_text()) for path in (tmp_path / "cache" / "measured").iterdir()]
    assert len(entries) == CASES and all(set(entry) == {"values"} for entry in entries)
