"""M3DDM Video Folder: a folder of videos through one graph, broken ones named and passed over."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

CLIP = Path(__file__).resolve().parents[2] / "assets" / "big_buck_bunny.mp4"


@pytest.fixture
def videos(tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An input folder with a folder of two videos, a broken one, a hidden one and a text."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    folder = tmp_path / "adverts"
    (folder / "more").mkdir(parents=True)
    for name in ("b.mp4", "more/c.MP4", ".hidden.mp4"):
        shutil.copyfile(CLIP, folder / name)
    (folder / "a.mov").write_bytes(b"no video")
    (folder / "notes.txt").write_text("no video either")
    return folder


def test_the_videos_of_a_folder_come_in_order_and_a_broken_one_is_named(videos: Path, pack: Any, caplog: Any) -> None:
    found, names, left_out = pack.run("M3DDM_VideoFolder", folder="adverts", first=0, most=0)
    assert names == ["b", "more/c"]
    assert [Path(video.get_stream_source()) for video in found] == [videos / "b.mp4", videos / "more" / "c.MP4"]
    assert left_out.startswith("a.mov: ") and "\n" not in left_out
    assert "M3DDM Video Folder: a.mov is passed over" in caplog.text


def test_one_video_a_run(videos: Path, pack: Any) -> None:
    _, names, left_out = pack.run("M3DDM_VideoFolder", folder="adverts", first=2, most=1)
    assert (names, left_out) == (["more/c"], "")
    with pytest.raises(ValueError, match=r"got no video in .* that can be read:\na\.mov"):
        pack.run("M3DDM_VideoFolder", folder="adverts", first=0, most=1)
    with pytest.raises(ValueError, match=r"got first = 3 and 3 videos in"):
        pack.run("M3DDM_VideoFolder", folder="adverts", first=3, most=1)


@pytest.mark.parametrize("folder", ["..", "../other", "/", "adverts/../.."])
def test_nothing_outside_of_the_input_folder_is_looked_at(folder: str, videos: Path, pack: Any) -> None:
    with pytest.raises(ValueError, match="expected one in"):
        pack.run("M3DDM_VideoFolder", folder=folder, first=0, most=0)
    with pytest.raises(ValueError, match=r"got the folder 'none', which is not in"):
        pack.run("M3DDM_VideoFolder", folder="none", first=0, most=0)


def test_another_file_is_another_folder(videos: Path, pack: Any) -> None:
    node = pack.nodes["M3DDM_VideoFolder"]
    before = node.fingerprint_inputs(folder="adverts", first=0, most=0)
    assert before == node.fingerprint_inputs(folder="adverts", first=0, most=0)
    shutil.copyfile(CLIP, videos / "a.mov")
    assert node.fingerprint_inputs(folder="adverts", first=0, most=0) != before
    assert len(node.fingerprint_inputs(folder="adverts", first=1, most=1)) == 1
