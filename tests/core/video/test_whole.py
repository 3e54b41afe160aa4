"""Files that are there whole or not at all: on a full disk, in a folder that cannot be written, after a kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from m3ddm_core.video.whole import CannotWrite, require_place, telling, whole_file

ROOT = Path(__file__).resolve().parents[3]


def test_a_file_appears_when_it_is_whole(tmp_path):
    with whole_file(tmp_path / "a.mp4") as part:
        part.write_bytes(b"whole")
        assert part.parent == tmp_path and not (tmp_path / "a.mp4").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    with whole_file(tmp_path / "a.mp4") as part:
        part.write_bytes(b"another")
    assert (tmp_path / "a.mp4").read_bytes() == b"another"


@pytest.mark.parametrize("error", [ValueError("made up"), KeyboardInterrupt(), MemoryError()])
def test_what_fails_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a.mp4").write_bytes(b"before")
    with pytest.raises(type(error)), whole_file(tmp_path / "a.mp4") as part:
        part.write_bytes(b"half")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "a b [1] *?.mp4", "%04d.mp4", "-i.mp4", "x" * 251 + ".mp4", "视频🎬" * 20 + ".mp4"]
)
def test_names_that_the_file_system_takes_are_taken(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_place(name)
    assert not list(tmp_path.iterdir())
    with whole_file(name) as part:
        part.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("x" * 252 + ".mp4", "shorter name"),
        ("\ud800.mp4", "plain letters"),
        ("missing/a.mp4", "make the folder first"),
        ("file/a.mp4", "another folder"),
    ],
)
def test_a_name_that_cannot_be_is_told_with_a_remedy(tmp_path, name, remedy):
    (tmp_path / "file").write_bytes(b"")
    for use in (require_place, lambda path: whole_file(path).__enter__()):
        with pytest.raises(CannotWrite, match=rf"could not be written: .*{remedy}"):
            use(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_is_told_once():
    with pytest.raises(
        CannotWrite, match=r"^out\.mp4 could not be written: No space .*: free some space, or"
    ) as caught:
        with telling("else"), telling("out.mp4"):
            raise OSError(28, "No space left on device")
    assert "else" not in str(caught.value)


HOLDER = """
import sys, time
from m3ddm_core.video.whole import whole_file

with whole_file(sys.argv[1]) as part:
    part.write_bytes(b"mine")
    print(part, flush=True)
    time.sleep(3600)
"""


def test_what_a_killed_process_left_is_cleared_and_what_one_is_writing_is_not(tmp_path):
    target = tmp_path / "a.mp4"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(target)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    part = Path(holder.stdout.readline().strip())
    with whole_file(target) as own:
        assert part.exists() and own != part
        own.write_bytes(b"whole")
    holder.kill()
    holder.wait()
    assert part.exists() and target.read_bytes() == b"whole"
    with whole_file(target) as own:
        own.write_bytes(b"again")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
