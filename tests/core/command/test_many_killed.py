"""Forty videos, four of them broken, and a kill: nothing that was finished is done again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.manifests import ended
from tests.helpers.panned_files import write_pan

ROOT = Path(__file__).resolve().parents[3]
VIDEOS, BROKEN, KILLED_AFTER = 40, {3, 11, 12, 39}, 14


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Videos of three lengths, in a folder; those that are broken are empty, no video, or break off."""
    folder = tmp_path / "in"
    folder.mkdir()
    for kind in range(3):
        write_pan(tmp_path / f"{kind}.mp4", 3 + kind, 48)
    for number in range(VIDEOS):
        content = (tmp_path / f"{number % 3}.mp4").read_bytes()
        broken = (b"", b"no video", content[:40])[number % 3]
        (folder / f"{number:02d}.mp4").write_bytes(broken if number in BROKEN else content)
    return folder


@pytest.mark.slow
def test_forty_videos_of_which_four_are_broken_and_a_kill(tmp_path, videos, narrow):
    results, manifest = tmp_path / "out", tmp_path / "out" / "manifest.jsonl"
    command = [sys.executable, "-m", "tests.helpers.small_globals", "m3ddm_core", "outpaint", str(videos), str(results)]
    command += ["--resume", "--checkpoint", str(narrow), "--device", "cpu", "--steps", "1"]
    # One evaluation a step and no looking around: what a video takes is not what is tried.
    command += ["--context-scale", "1", "--global-scale", "1", "--seen", "off"]
    command += ["--vae", str(ROOT / "models" / "m3ddm_demo_vae.safetensors"), "--ratio", "1:1", "--canvas-size", "32"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and not (manifest.exists() and manifest.read_text().count("\n") > 2 * KILLED_AFTER):
            time.sleep(0.01)
        run.kill()
    assert run.returncode < 0, "it was killed before its end"
    before = made_in(results)
    assert KILLED_AFTER - len(BROKEN) <= len(before) < VIDEOS - len(BROKEN)

    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 1, "some could not be made"
    after = made_in(results)
    assert before.items() <= after.items(), "what was there is as it was"
    assert sorted(after) == [f"{number:02d}.mp4" for number in range(VIDEOS) if number not in BROKEN]
    for kind in range(3):
        contents = {(results / name).read_bytes() for name in after if int(name[:2]) % 3 == kind}
        assert len(contents) == 1, "the same video, whether the run was killed while it was made or not"
    assert sorted(path.name for path in results.iterdir()) == sorted([*after, manifest.name]), "and nothing beside them"

    outcomes = {Path(entry["target"]).name: entry["outcome"] for entry in ended(results)}
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    assert failed == [f"{number:02d}.mp4" for number in sorted(BROKEN)]
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == set(after)
    for number in BROKEN:
        assert f"{number:02d}.mp4" in again.stderr, "those that are broken are named"
    assert "4 not; see" in again.stdout


def made_in(folder: Path) -> dict[str, tuple[int, int]]:
    """The finished videos, each with what a file that was written anew has not: its number and time."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("[0-9]*.mp4")}
