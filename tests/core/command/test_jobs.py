"""Which videos a folder, a list or a table names."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from m3ddm_core.command.jobs import Job, find_jobs, is_many
from m3ddm_core.command.outpaint import add_arguments
from m3ddm_core.command.settings import SAMPLING, SETTINGS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.mov", "deep/er/c.MKV", ".hidden.mp4", ".trash/d.mp4", "notes.md", "out/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_folder_gives_its_videos_in_order_and_their_places(folder):
    out = folder / "out"
    found = find_jobs(folder, out)
    assert [job.source.relative_to(folder).as_posix() for job in found] == ["a.mov", "b.mp4", "deep/er/c.MKV"]
    assert [job.target.relative_to(out).as_posix() for job in found] == ["a.mp4", "b.mp4", "deep/er/c.mp4"]


def test_two_of_one_name_keep_their_suffixes(folder):
    (folder / "a.mp4").write_bytes(b"")
    assert [job.target.name for job in find_jobs(folder, folder / "out")][:2] == ["a.mov.mp4", "a.mp4.mp4"]


def test_targets_are_of_the_format(folder):
    assert [job.target.name for job in find_jobs(folder, folder / "out", "ffv1")] == ["a.mkv", "b.mkv", "c.mkv"]
    (folder / "table.csv").write_text("source,format\nb.mp4,png\na.mov,prores\n")
    found = find_jobs(folder / "table.csv", Path("results"))
    assert [(job.target.name, job.settings) for job in found] == [
        ("b", {"format": "png"}),
        ("a.mov", {"format": "prores"}),
    ]


def test_a_list_counts_from_where_it_lies(folder):
    (folder / "list.txt").write_text("# two\nb.mp4\n\ndeep/er/c.MKV\n", encoding="utf-8-sig")
    out = Path("results")
    assert find_jobs(folder / "list.txt", out) == [
        Job(folder / "b.mp4", out / "b.mp4"),
        Job(folder / "deep/er/c.MKV", out / "c.mp4"),
    ]


@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_a_table_has_settings_for_each(folder, comma):
    rows = ["source|target|ratio|pixels|steps|Colour-Match", "b.mp4||9:16||4|", "", "a.mov|x/y.mp4||8 0 8 0||steady"]
    (folder / "table.csv").write_text("\n".join(rows).replace("|", comma))
    out = Path("results")
    assert find_jobs(folder / "table.csv", out) == [
        Job(folder / "b.mp4", out / "b.mp4", {"ratio": "9:16", "steps": 4}),
        Job(folder / "a.mov", out / "x/y.mp4", {"pixels": (8, 0, 8, 0), "colour_match": "steady"}),
    ]


BAD = {
    "nothing there": ("gone.csv", None, "where nothing lies"),
    "empty": ("list.txt", "# none\n", "which names no video"),
    "no source": ("table.csv", "path\na.mp4\n", "got the columns path in .*, expected source"),
    "unknown": ("table.csv", "source,stepps\na.mp4,3\n", "got the columns source, stepps"),
    "a row without": ("table.csv", "source,steps\n,3\n", "got no source in row 1"),
    "no number": (
        "table.csv",
        "source,steps\na.mp4,few\n",
        "got 'few' for steps in row 1 of .*, expected a whole",
    ),
    "three pixels": ("table.csv", "source,pixels\na.mp4,1 2 3\n", "expected whole numbers, as in 10 0 10 0"),
    "no format": ("table.csv", "source,format\na.mp4,avi\n", "got the format 'avi', expected one of h264"),
    "twice": ("list.txt", "a/x.mp4\nb/x.mp4\n", "would both be written to .*x.mp4.mp4"),
    "no text": ("list.txt", b"\xff\xfe\x00", "not text in UTF-8"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_is_told(kind, tmp_path):
    name, text, message = BAD[kind]
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((ValueError, OSError), match=message):
        find_jobs(tmp_path / name, tmp_path / "out")


def test_what_is_many(tmp_path):
    assert is_many(tmp_path) and is_many(Path("x.CSV")) and is_many(Path("x.txt")) and not is_many(Path("x.mp4"))


def test_every_column_is_an_argument_of_one_video():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["in", "out", "--checkpoint", "c", "--vae", "v", "--ratio", "1:1"])
    assert set(SETTINGS) <= set(vars(given)) | set(SAMPLING)
