"""``python -m m3ddm_core evaluate``: from files to the report, and what it says of bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from m3ddm_core.__main__ import main
from m3ddm_core.evaluation.command import NEEDED
from m3ddm_core.evaluation.dists import DISTS
from m3ddm_core.evaluation.protocol import Case, Protocol
from m3ddm_core.evaluation.synthetic import held_out_clips
from tests.helpers.clip_files import write_clip
from tests.helpers.metric_files import TINY_VGG
from tests.helpers.moving_clips import moving_clip

ROOT = Path(__file__).resolve().parents[3]
QUICK = ["--lpips", "none", "--size", "32"]


def mean_colours(frames):
    """Stands in for I3D: one window."""
    return frames.mean(axis=(0, 1, 2))[None]


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for seed in range(2):
        write_clip(folder / f"{seed}.mp4", moving_clip(seed, frames=18).frames, 10)
    (folder / "bad.mp4").write_bytes(b"bad")
    return folder


def test_help_needs_nothing_but_python():
    command = [sys.executable, "-S", "-m", "m3ddm_core", "evaluate", "--help"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr
    assert "--i3d" in found.stdout and "m3ddm:steps=10" in found.stdout


def test_one_command_from_a_folder_to_the_report(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("m3ddm_core.evaluation.i3d.load_i3d", lambda path, device: mean_colours)
    monkeypatch.setattr("m3ddm_core.evaluation.dists.load_dists", lambda path, device: DISTS(TINY_VGG))
    networks = []
    for name in ("i3d", "dists"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
        networks += [f"--{name}", str(tmp_path / f"{name}.safetensors")]
    out = tmp_path / "out"
    assert main(["evaluate", str(videos), str(out), *QUICK, *networks, "--frames", "16"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "cache",
        "chart.png",
        "grids",
        "table.csv",
        "table.json",
        "table.md",
    }
    content = json.loads((out / "table.json").read_text())
    assert {row["method"] for row in content["table"]} == {"edge", "smooth", "telea"}
    assert {row["metric"] for row in content["table"]} == {
        *("mse", "psnr", "ssim", "dists", "i3d", "fvd", "sharpness", "flicker", "seam")
    }
    table = (out / "table.md").read_text()
    assert "DISTS ↓ | I3D ↓ | FVD ↓" in table and "sharpness →1 | flicker →1" in table
    assert len(content["clips"]) == 2 * 4 * 3
    assert list(content["skipped"]) == ["bad.mp4"]
    assert re.search(r"skipped bad\.mp4: got \S+bad\.mp4, which cannot be read", capsys.readouterr().err)
    assert sorted(path.name for path in (out / "grids").iterdir()) == ["0.mp4", "1.mp4"]


def test_clips_cases_and_methods_are_chosen(videos, tmp_path):
    out = tmp_path / "out"
    chosen = ["--method", "edge", "--direction", "vertical", "--ratio", "0.5", "--only", "1*", "--no-grids"]
    assert main(["evaluate", str(videos), str(out), *QUICK, *chosen]) == 0
    content = json.loads((out / "table.json").read_text())
    assert [(row["clip"], row["case"], row["method"]) for row in content["clips"]] == [
        ("1.mp4", "vertical 0.5", "edge")
    ]
    assert not (out / "grids").exists()


def test_the_published_protocol_has_the_published_figures_beside(videos, tmp_path):
    out = tmp_path / "out"
    chosen = ["--method", "edge", "--only", "1*", "--no-grids", "--lpips", "none", "--frames", "2"]
    assert main(["evaluate", str(videos), str(out), "--protocol", "published", *chosen]) == 0
    content = json.loads((out / "table.json").read_text())
    assert [row["case"] for row in content["clips"]] == ["horizontal 0.25", "horizontal 0.66"]
    assert "256x256 (crop), 2 of each clip" in content["settings"]["frames"]
    assert "M3DDM on DAVIS, published" in (out / "table.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "blur"], "got the method 'blur'"),
        (["--method", "m3ddm"], "pass --checkpoint FILE"),
        (["--size", "30"], "got a size of 30"),
        (["--protocol", "published"], "got --protocol published beside --size, --direction or --ratio, expected one"),
        (["--only", "nothing*"], "got no clip whose name matches 'nothing*'"),
        (["--i3d", "missing.pt"], "missing.pt: got no such file, expected what `python -m m3ddm_core convert-metric"),
        (["--dists", "missing.pt"], "missing.pt: got no such file, expected what `python -m m3ddm_core convert-metric"),
    ],
)
def test_bad_input_is_told_in_a_line(videos, tmp_path, capsys, arguments, message):
    assert main(["evaluate", str(videos), str(tmp_path / "out"), *QUICK, *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("film", "message"),
    [([], "got held-out-film without a film, expected --film FILE"), (["--film", "0.mp4"], "0.mp4: got no file")],
)
def test_the_held_out_shots_need_their_film(tmp_path, capsys, film, message):
    assert main(["evaluate", "held-out-film", str(tmp_path / "out"), *QUICK, *film]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_package_is_named(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "skimage" else name)
    assert main(["evaluate", str(videos), str(tmp_path / "out"), *QUICK]) == 2
    assert "run `pip install scikit-image`" in capsys.readouterr().err


def test_held_out_clips_know_what_other_frames_show():
    source = next(source for source in held_out_clips() if "fast-horizontal" in source.name)
    clip = source.load(Protocol(size=32, frames=8))
    assert clip.frames.shape == (8, 32, 32, 3) and clip.frames.std() > 5
    regions = clip.regions(Case("horizontal", 0.5).place(32))
    assert regions["seen"].any() and regions["unseen"].any()
    assert not regions["seen"][:, :, 8:24].any()
    assert len({source.name for source in held_out_clips()}) == len(held_out_clips())


def test_the_extra_brings_what_is_needed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("evaluate = ")]
    packages = {package.partition(">")[0] for package in json.loads(line.partition(" = ")[2])}
    assert set(NEEDED.values()) | {"lpips", "matplotlib"} == packages
