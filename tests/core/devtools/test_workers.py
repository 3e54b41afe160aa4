"""A tier's tests run in several processes, and tell what they would tell in one."""

from __future__ import annotations

import dataclasses
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from devtools import tiers, workers
from devtools.host import Host

TESTS = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(8))
def test_it_is_somewhere(number):
    worker, threads = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("OMP_NUM_THREADS")
    pathlib.Path("seen", f"{worker} {threads} {number}").touch()

def test_it_fails():
    print("what it printed")
    assert sum([1, 2]) == 4, "as it must"

@pytest.mark.skip
def test_it_is_skipped(): ...
"""
TIER = tiers.Tier("these", ".", "", comfy=True)
needs_xdist = pytest.mark.skipif(find_spec("xdist") is None, reason="pytest-xdist is not installed beside this ComfyUI")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """This interpreter on a folder with the tests above."""
    for name in ("OMP_NUM_THREADS", *(name for name in os.environ if name.startswith("PYTEST_"))):
        monkeypatch.delenv(name, raising=False)
    # The other plugins only take time.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p xdist" if find_spec("xdist") else "")
    monkeypatch.setattr(tiers, "PACK", tmp_path)
    monkeypatch.setattr(workers, "_cores", lambda: 2)
    monkeypatch.setattr(workers, "_memory_gib", lambda: 16.0)
    (tmp_path / "seen").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    (tmp_path / "test_these.py").write_text(TESTS, encoding="utf-8")
    return Host(tmp_path, Path(sys.executable), "0", "0", "cpu", None, own=False)


def seen(host: Host) -> tuple[set[tuple[str, str]], list[str]]:
    """The workers that ran, each with its number of threads, and the tests that left a file."""
    names = [file.name.split() for file in (host.path / "seen").iterdir()]
    return {(worker, threads) for worker, threads, _ in names}, sorted(number for *_, number in names)


@pytest.mark.parametrize(
    ("cores", "gib", "arguments", "count"),
    [
        (2, 23.0, [], 2),
        (1, 23.0, [], 1),
        (64, 23.0, ["-k", "name"], 7),
        (2, 2.0, [], 1),
        (8, float("inf"), [], 8),
        (8, 64.0, ["-x", "--pdb"], 1),
    ],
)
def test_as_many_as_there_are_cores_and_memory_for(
    cores: int, gib: float, arguments: list[str], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: cores)
    monkeypatch.setattr(workers, "_memory_gib", lambda: gib)
    assert workers.number(arguments) == count


def test_this_machine_has_a_core_and_memory() -> None:
    assert workers._cores() >= 1 and workers._memory_gib() > 0.1


@needs_xdist
def test_spread_over_processes_they_count_and_tell_the_same(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    assert str(tiers._pytest(host, TIER, [], [], spread=True)) == "8 passed, 1 failed, 1 skipped"
    assert seen(host) == ({("gw0", "1"), ("gw1", "1")}, list("01234567"))
    told = capfd.readouterr().out
    assert "2 workers [10 items]" in told
    assert "what it printed" in told and "AssertionError: as it must" in told and "assert 3 == 4" in told


@needs_xdist
def test_the_command_line_has_the_last_word(host: Host) -> None:
    assert (
        str(tiers._pytest(host, TIER, [], ["-n", "0", "-k", "somewhere"], spread=True))
        == "8 passed, 0 failed, 0 skipped"
    )
    assert {worker for worker, _ in seen(host)[0]} == {"None"}


def test_without_xdist_they_run_in_one_process(host: Host) -> None:
    assert str(tiers._pytest(host, TIER, [], [], spread=False)) == "8 passed, 1 failed, 1 skipped"
    assert seen(host) == ({("None", "None")}, list("01234567"))


@pytest.mark.parametrize("name", ["core", "golden", "comfy", "e2e", "browser"])
def test_what_is_named_and_what_shares_a_graphics_card_runs_in_one(host: Host, name: str) -> None:
    tier = tiers._tier(name)
    with_card = dataclasses.replace(host, device="cuda")
    assert tiers._workers(host, tier, [], []) == 2
    assert tiers._workers(host, tier, ["tests/core/test_frames.py::test_one"], []) == 1
    assert tiers._workers(with_card, tier, [], []) == (1 if tier.comfy else 2)


def test_an_interpreter_without_xdist_is_noticed(tmp_path: Path) -> None:
    python = tmp_path / "python"
    # Without the packages of its environment.
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    assert not workers.possible(python)
