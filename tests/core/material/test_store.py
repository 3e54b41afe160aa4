"""What becomes of folders of footage: what is kept, what is passed over and why, and that it is decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from m3ddm_core.material import film, store, videos
from m3ddm_core.material.store import Wanted, open_store
from tests.helpers.clip_files import rotated_file, write_clip

WANTED = Wanted((32, 16), 8)


def write_video(path: Path, frames: torch.Tensor, fps: float) -> None:
    """Write frames (n, h, w, 3), float, 0..1."""
    write_clip(path, (frames * 255).round().to(torch.uint8).numpy(), fps)


def two_shots(path: Path, size: tuple[int, int] = (64, 48)) -> None:
    """A video of a dark shot of 20 frames and a striped one of 12."""
    width, height = size
    dark = torch.full((20, height, width, 3), 0.1)
    stripes = (torch.arange(width) // 8 % 2).float().view(1, 1, width, 1).expand(12, height, width, 3)
    write_video(path, torch.cat([dark, stripes]), 12.0)


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    folder = tmp_path / "footage"
    two_shots(folder / "good.mp4")
    two_shots(folder / "deeper" / "small.mp4", (16, 8))
    write_video(folder / "short.mp4", torch.rand(4, 48, 64, 3), 12.0)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def test_shots_are_kept_and_what_cannot_be_used_is_named(footage: Path, tmp_path: Path) -> None:
    found = open_store("film", footage, WANTED, tmp_path / "stores", 1.0)
    assert [piece.shape for piece in found.pieces] == [(20, 36, 48, 3), (12, 36, 48, 3)]
    assert {piece.fps for piece in found.pieces} == {12.0}
    assert set(found.skipped) == {"deeper/small.mp4", "short.mp4", "broken.mp4"}
    assert found.skipped["deeper/small.mp4"] == "got 16x8 pixels, expected 32x16 or more"
    assert found.skipped["short.mp4"] == "got 4 frames, expected a shot of 8 among them"
    dark, striped = (found.pixels(piece) for piece in found.pieces)
    assert dark.max() < 60 and striped.std() > 80, "no frame is of the other shot"


def test_footage_is_decoded_once(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_store("film", footage, WANTED, tmp_path / "stores", 1.0)
    monkeypatch.setitem(store.KINDS, "film", (store.VIDEOS, None))
    again = open_store("film", footage, WANTED, tmp_path / "stores", 1.0)
    assert again == first
    np.testing.assert_array_equal(again.pixels(again.pieces[1]), first.pixels(first.pieces[1]))
    with pytest.raises(TypeError):
        open_store("film", footage, Wanted((16, 16), 8), tmp_path / "stores", 1.0)


def test_a_store_that_was_cut_off_is_none(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, wanted: Wanted) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setitem(store.KINDS, "film", (store.VIDEOS, fail))
        open_store("film", footage, WANTED, tmp_path / "stores", 1.0)
    assert list((tmp_path / "stores").iterdir()) == []
    assert open_store("film", footage, WANTED, tmp_path / "stores", 1.0).pieces


def test_a_folder_without_anything_to_use_is_an_error(footage: Path, tmp_path: Path) -> None:
    (footage / "good.mp4").unlink()
    with pytest.raises(ValueError, match=r"3 files for films of which none can be used(?s:.*)short\.mp4: got 4 frames"):
        open_store("film", footage, WANTED, tmp_path / "stores", 1.0)


def test_a_store_that_is_full_takes_no_further_file(footage: Path, tmp_path: Path) -> None:
    found = open_store("film", footage, WANTED, tmp_path / "stores", 1e-5)
    assert found.pieces and found.skipped["short.mp4"] == "1e-05 GB are full"


def test_missing_licences_are_warned_of(footage: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    open_store("film", footage, WANTED, tmp_path / "stores", 1.0, lines.append)
    warned = [line for line in lines if line.startswith("warning: no licence")]
    assert [str(footage) in line for line in warned] == [True, True]
    (footage / "deeper" / "LICENSE.md").write_text("mine")
    lines.clear()
    open_store("film", footage, WANTED, tmp_path / "stores", 1.0, lines.append)
    assert len(lines) == 1 and "deeper" not in lines[0]
    (footage / "CREDITS.txt").write_text("all of it is mine")
    lines.clear()
    open_store("film", footage, WANTED, tmp_path / "stores", 1.0, lines.append)
    assert not lines


def test_of_the_known_film_held_out_shots_are_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for it whose frames tell their number, its second shot held out."""
    path = tmp_path / "film" / "any name.mp4"
    levels = torch.linspace(0.1, 0.9, 60).view(60, 1, 1, 1).expand(60, 48, 64, 3)
    write_video(path, levels, 24.0)
    shots = (film.Shot(0, 0, 20), film.Shot(1, 20, 40), film.Shot(2, 40, 60))
    monkeypatch.setattr(videos, "is_the_film", lambda path: True)
    monkeypatch.setattr(videos, "training_shots", lambda: (shots[0], shots[2]))
    found = open_store("film", path.parent, WANTED, tmp_path / "stores", 1.0)
    means = [found.pixels(piece).mean(axis=(1, 2, 3)) / 255 for piece in found.pieces]
    expected = levels[:, 0, 0, 0].numpy()
    np.testing.assert_allclose(means[0], expected[:20], atol=0.012)
    np.testing.assert_allclose(means[1], expected[40:], atol=0.012)
    assert len(means) == 2


def test_photographs_come_upright_and_cut_outs_trimmed(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rotated = Image.new("RGB", (40, 80), "red")
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(folder / "turned.jpg", exif=exif)
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    shape = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    shape.paste((0, 255, 0, 255), (50, 20, 150, 60))
    shape.save(folder / "shape.png")
    photos = open_store("photo", folder, WANTED, tmp_path / "stores", 1.0)
    assert [(piece.name, piece.shape) for piece in photos.pieces] == [
        ("shape.png", (1, 96, 96, 3)),
        ("turned.jpg", (1, 40, 80, 3)),
    ]
    assert photos.skipped == {"small.png": "got 20x20 pixels, expected 32x16 or more"}
    cut_outs = open_store("cutout", folder, WANTED, tmp_path / "stores", 1.0)
    assert [piece.shape for piece in cut_outs.pieces] == [(1, 13, 32, 4)]
    assert set(cut_outs.skipped) == {"small.png", "turned.jpg"}


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_videos_are_kept_upright(tmp_path: Path, rotation: int) -> None:
    path = rotated_file(tmp_path / "videos" / "phone.mp4", rotation)
    size = (48, 64) if rotation % 180 else (64, 48)
    found = open_store("film", path.parent, Wanted(size, 8), tmp_path / "stores", 1.0)
    (frames,) = (found.pixels(piece) for piece in found.pieces)
    assert frames.shape == (20, size[1], size[0], 3)
    half = size[1] // 2
    assert frames[:, : half - 4].mean() > 180 and frames[:, half + 4 :].mean() < 70
