"""The benchmark's parts on the small network, and what it prints of numbers that are known."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from benchmarks import network, report, speed
from m3ddm_core.sampling.guidance import Branch
from m3ddm_core.sampling.pndm import reference_sampler

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
SMALL = network.WIDTHS["small"]


def side(name: str, seconds: float, evaluations: int) -> dict:
    return {
        "name": name,
        "step_seconds": seconds,
        "step_evaluations": evaluations,
        "step_flops": 1e12,
        "branch_flops": {"FULL": 5e11, "MASKED_VIDEO": 3e11, "UNCONDITIONAL": 2e11},
        "peak_bytes": 2**30,
        "clip_steps": 2,
        "clip_seconds": None,
        "video_clips": 21,
        "video_evaluations": 21 * 50 * evaluations,
        "video_seconds": 21 * 50 * seconds,
        "matrix_rate": 2e11,
    }


def measured() -> dict:
    sides = [side("ours", 5.0, 3), side("published", 20.0, 4)]
    return {
        "machine": {"device": "a machine", "threads": 2, "torch": "2", "date": "2026-01-02"},
        "options": {
            "size": 64,
            "frames": 16,
            "dtype": "float32",
            "reference_dtype": "float32",
            "network": "small",
            "repeats": 3,
        },
        "release_steps": 50,
        "video_frames": 240,
        "sides": sides,
        "presets": speed.by_preset(sides),
        "relative_difference": 2e-6,
    }


@torch.inference_mode()
def test_a_step_is_what_the_sampler_makes_of_the_same_conditions():
    ours = network.ours(SMALL, torch.float32, "cpu")
    conditions, start, noise = network.inputs(16, 32, torch.float32, "cpu")
    sampled = reference_sampler(ours.network, steps=1, context_scale=2.0, global_scale=4.0)
    expected = sampled(conditions, start, noise, lambda *_: None)
    stepped = speed.sample_pndm(ours.step(conditions), start, noise, steps=1)
    assert speed.relative_difference(stepped, expected) < 1e-6


def test_a_step_evaluates_as_often_as_it_says():
    ours = network.ours(SMALL, torch.float32, "cpu")
    conditions, _, noise = network.inputs(2, 16, torch.float32, "cpu")
    step, calls = ours.step(conditions), []
    ours.network.register_forward_pre_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        step(noise, 500)
    assert len(calls) == ours.evaluations == len(Branch)


def test_operations_grow_with_the_canvas_and_need_no_weights():
    ours = network.ours(SMALL, torch.float32, "meta")
    small, large = (speed.count_flops(ours, 16, size, torch.float32) for size in (32, 64))
    assert 0 < small < large


def test_clips_of_a_video_by_each_plan():
    plans = json.loads((GOLDEN / "plans.json").read_text())
    for frames, published in plans.items():
        assert speed.clips_by_plan("published", int(frames)) == len(published), f"{frames} frames"
        assert speed.clips_by_plan("ours", int(frames)) == sum(not all(clip["known"]) for clip in published)


def test_peak_memory_sees_what_is_let_go_again():
    with speed.PeakMemory("cpu") as memory:
        held = torch.ones(32 * 2**20)
        end = time.monotonic() + 120
        while memory.bytes < 100 * 2**20 and time.monotonic() < end:
            time.sleep(0.01)
        del held
    assert 100 * 2**20 < memory.bytes < 400 * 2**20


def test_the_table_gives_ratios_and_says_what_was_not_measured():
    lines = report.table(measured()).splitlines()
    step = next(line for line in lines if line.startswith("guided step"))
    assert step.split() == ["guided", "step", "5", "20", "0.250x", "s"]
    assert any("extrapolated" in line for line in lines) and any("not measured" in line for line in lines)
    assert not any(line.startswith("clip of") for line in lines), "a clip that was not sampled has no time"
    assert "2.0e-06" in lines[-1]


def test_presets_cost_what_their_branches_cost():
    """Here only the branch with global frames costs anything; seconds go with the operations."""
    sides = [side("ours", 5.0, 3), side("published", 20.0, 4)]
    sides[0]["branch_flops"] = {"FULL": 1e12, "MASKED_VIDEO": 0.0, "UNCONDITIONAL": 0.0}
    reference = speed.by_preset(sides)[0]
    assert reference["evaluations"] == 21 * 150 and reference["flops"] == 21 * 50 * 1e12
    assert reference["seconds"] == 21 * 50 * 5.0 and reference["operations_ratio"] == 1.0


def test_two_number_formats_are_both_named_and_a_second_of_video_has_its_price():
    result = measured()
    assert "float32, median" in report.table(result)
    result["options"]["dtype"] = "bfloat16"
    assert "bfloat16 (published: float32), median" in report.table(result)
    line = next(line for line in report.table(result).splitlines() if line.startswith("  reference"))
    assert line.split()[-2] == f"{result['presets'][0]['seconds'] / 10:.1f}", "240 frames are ten seconds"


def test_the_published_side_has_the_same_number_format_unless_told():
    assert speed.parse(["--dtype", "bfloat16"]).reference_dtype == "bfloat16"
    assert speed.parse(["--dtype", "bfloat16", "--reference-dtype", "float32"]).reference_dtype == "float32"


def test_one_side_alone_has_no_ratios(tmp_path):
    result = measured()
    del result["sides"][1], result["relative_difference"]
    assert "x  s" not in report.table(result)


@pytest.mark.parametrize("sides", [1, 2])
def test_the_picture_is_drawn(tmp_path, sides):
    pytest.importorskip("matplotlib")
    result = measured()
    result["sides"] = result["sides"][:sides]
    report.draw(result, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [["--size", "60"], ["--frames", "0"], ["--repeats", "0"], ["--steps", "-1"]])
def test_options_that_cannot_be_measured_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        speed.parse(arguments)
    assert arguments[1] in capsys.readouterr().err


def test_the_whole_command_on_one_side(tmp_path, capsys):
    speed.main(["--network", "small", "--size", "16", "--repeats", "1", "--steps", "1", "--device", "cpu",
                "--output", str(tmp_path)])  # fmt: skip
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [side["name"] for side in written["sides"]] == ["ours"] and written["sides"][0]["clip_seconds"] > 0
    assert (tmp_path / "bench.png").is_file() and "guided step" in capsys.readouterr().out


def test_presets_keep_what_they_promise_beside_the_published_code():
    """Of its operations: balanced a fifth at most, fast 0.08; an evaluation costs 4/3 of theirs here."""
    sides = [side("ours", 3.0, 3), side("published", 20.0, 4)]
    found = {preset["name"]: preset for preset in speed.by_preset(sides)}
    assert found["reference"]["evaluations"] == 21 * 150
    assert found["reference"]["seconds"] == 21 * 150
    assert found["reference"]["operations_ratio"] == pytest.approx(1.0)
    # The counter's measure of the full-size network: 14.76 TFLOP in three evaluations against 22.69 in four.
    full = {name: preset["operations_ratio"] * 14.76 / 22.69 for name, preset in found.items()}
    assert full["balanced"] <= 0.20 and full["fast"] <= 0.08
    assert all(preset["operations_ratio"] is None for preset in speed.by_preset(sides[:1]))
