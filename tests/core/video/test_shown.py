"""Pictures come as a player shows them: turned, mirrored, with square pixels, in every way they are read."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from av.sidedata.sidedata import Type
from torch import Tensor

from m3ddm_core.evaluation.protocol import Protocol
from m3ddm_core.evaluation.videos import read_clip
from m3ddm_core.material.videos import read_shots
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.indexed import IndexedVideo
from m3ddm_core.video.reader import read_pictures
from m3ddm_core.video.shown import Orientation, square_size
from m3ddm_core.video.source import VideoInfo
from m3ddm_core.video.writer import write_lossless
from tests.helpers.video_parts import Film, write_film

READERS: dict[str, Callable[[Path], Tensor]] = {
    "whole": lambda path: torch.stack(list(FileSource(path).frames())),
    "strict": lambda path: torch.stack(list(read_pictures(path))),
    "by number": lambda path: IndexedVideo.of(path).read(range(8)),
    "for training": lambda path: torch.from_numpy(next(read_shots(path, (24, 24), 8))[0]) / 255,
}


def corners(picture: Tensor) -> str:
    """The corners of a test picture clockwise from the top left: R or G for its halves, capital where it is bright."""
    height, width, _ = picture.shape
    found = ""
    for row, column in ((4, 4), (4, width - 5), (height - 5, width - 5), (height - 5, 4)):
        red, green, _ = picture[row, column].tolist()
        letter = "r" if red > 1.8 * green else "g"
        found += letter.upper() if red > 0.5 else letter
    return found


TURNS = {
    "upright": ((0, False, False), "RGgr"),
    "turned left": ((90, False, False), "GgrR"),
    "on its head": ((180, False, False), "grRG"),
    "turned right": ((-90, False, False), "rRGg"),
    "mirrored": ((0, True, False), "GRrg"),
    "upended": ((0, False, True), "rgGR"),
    "transposed": ((90, False, True), "RrgG"),
    "transposed the other way": ((-90, False, True), "gGRr"),
    "nearly upright": ((20, False, False), "RGgr"),
}


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("turn", TURNS)
def test_all_eight_ways_to_lie(tmp_path: Path, turn: str, how: str) -> None:
    asked, expected = TURNS[turn]
    path = write_film(tmp_path / "camera.mp4", Film(size=(64, 48), turn=asked))
    picture = READERS[how](path)[0]
    assert corners(picture) == expected
    assert (picture.shape[0] > picture.shape[1]) == (asked[0] in (90, -90))
    if how == "whole":
        assert FileSource(path).info.size == (picture.shape[1], picture.shape[0])


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [((0,) * 9, Orientation()), ((-1, 0, 0, 0, 1, 0, 0, 0, 1), Orientation(mirrored=True))],
)
def test_matrices_of_any_scale(matrix: tuple[int, ...], expected: Orientation) -> None:
    class Frame:
        side_data = {Type.DISPLAYMATRIX: np.array(matrix, np.int32).tobytes()}

    assert Orientation.of(Frame()) == expected


def test_side_data_that_pyav_cannot_name_leaves_the_rotation() -> None:
    class Frame:
        rotation = -90

        @property
        def side_data(self) -> dict:
            raise ValueError("39 is not a valid Type")

    assert Orientation.of(Frame()) == Orientation(swapped=True, mirrored=True)


@pytest.mark.parametrize(
    ("stored", "aspect", "shown"),
    [
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((720, 480), Fraction(8, 9), (720, 540)),
        ((720, 480), Fraction(32, 27), (854, 480)),
        ((64, 48), Fraction(1), (64, 48)),
        ((1, 1), Fraction(1, 3), (1, 4)),
        ((63, 47), Fraction(4, 3), (84, 47)),
    ],
)
def test_pixels_become_square(stored: tuple[int, int], aspect: Fraction, shown: tuple[int, int]) -> None:
    assert square_size(*stored, aspect) == shown


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize(
    ("name", "size", "aspect", "turn", "shown"),
    [
        ("hdv.mp4", (144, 108), Fraction(4, 3), None, (192, 108)),
        ("hdv.mkv", (144, 108), Fraction(4, 3), None, (192, 108)),
        ("pal.avi", (72, 56), Fraction(16, 15), None, (76, 56)),
        ("disc.ts", (72, 48), Fraction(8, 9), None, (72, 54)),
        ("phone.mp4", (64, 48), Fraction(2), (90, False, False), (48, 128)),
    ],
)
def test_what_is_shown_counts(
    tmp_path: Path,
    name: str,
    size: tuple[int, int],
    aspect: Fraction,
    turn: tuple[float, bool, bool] | None,
    shown: tuple[int, int],
    how: str,
) -> None:
    path = write_film(tmp_path / name, Film(size=size, aspect=aspect, turn=turn))
    pictures = READERS[how](path)
    expected = shown if how != "for training" else None
    width, height = pictures.shape[2], pictures.shape[1]
    assert expected in (None, (width, height)) and width / height == pytest.approx(shown[0] / shown[1], rel=0.04)
    assert corners(pictures[0]) == ("RGgr" if turn is None else "GgrR")
    assert pictures.min() >= 0 and pictures.max() <= 1


def test_an_evaluation_cuts_its_square_out_of_what_is_shown(tmp_path: Path) -> None:
    """The same pictures with pixels twice as wide are twice as wide before they are cut."""
    wide = write_film(tmp_path / "wide.mkv", Film("ffv1", "bgr0", (64, 48), 16, aspect=Fraction(2)))
    plain = write_film(tmp_path / "plain.mkv", Film("ffv1", "bgr0", (128, 48), 16))
    protocol = Protocol(size=32)
    first, second = (read_clip([path], protocol).frames for path in (wide, plain))
    assert first.shape == second.shape and abs(first.astype(int) - second)[..., 12:20, :].mean() < 3


@pytest.mark.parametrize("aspect", [Fraction(1, 20), Fraction(30)])
def test_pixels_that_cannot_be_are_square(tmp_path: Path, caplog: pytest.LogCaptureFixture, aspect: Fraction) -> None:
    source = FileSource(write_film(tmp_path / "absurd.mp4", Film(aspect=aspect)))
    assert source.info.size == (64, 48) and "taken as square" in caplog.text


SMALL = [(1, 1), (2, 2), (14, 20), (40, 8), (7, 13), (17, 3), (3, 65), (31, 31), (33, 1), (8, 40), (16, 16)]


@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p10le", "gray", "yuva420p", "bgr0"])
def test_frames_of_any_size(tmp_path: Path, pixels: str, size: tuple[int, int]) -> None:
    write_lossless(tmp_path / "exact.mkv", torch.full((2, size[1], size[0], 3), 0.5), VideoInfo.even(size, 2, 25))
    frames = torch.stack(list(FileSource(tmp_path / "exact.mkv").frames()))
    assert frames.shape == (2, size[1], size[0], 3) and (frames - 0.5).abs().max() < 0.01
    if size[0] % 2 or size[1] % 2:
        return
    path = write_film(tmp_path / "small.mkv", Film("ffv1", pixels, size, 2))
    frames = torch.stack(list(FileSource(path).frames()))
    assert frames.shape == (2, size[1], size[0], 3)
    assert frames[0, 0, -1].mean() == pytest.approx(200 / 255, abs=0.05), "nothing leaks in at the end of a row"
