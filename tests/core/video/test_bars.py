"""Bars are found to the pixel, and dark pictures are left alone."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from m3ddm_core.video.bars import bars_around, find_bars, hint_of_bars
from m3ddm_core.video.crop import Crop
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.writer import write_video

WIDTH, HEIGHT = 160, 120


def film(frames: int = 40, light: float = 1.0) -> torch.Tensor:
    """Soft scenery that changes, (n, h, w, 3); nothing of it is black at all times."""
    draw = torch.Generator().manual_seed(0)
    small = torch.rand(frames, 3, 6, 8, generator=draw)
    large = torch.nn.functional.interpolate(small, (HEIGHT, WIDTH), mode="bilinear")
    return light * (0.1 + 0.8 * large.permute(0, 2, 3, 1))


def barred(pictures: torch.Tensor, crop: Crop, level: float = 0.0) -> torch.Tensor:
    result = torch.full_like(pictures, level)
    crop.of(result).copy_(crop.of(pictures))
    return result


def found(pictures: torch.Tensor) -> Crop:
    return find_bars(TensorSource(pictures, Fraction(25))).crop


@pytest.mark.parametrize(
    "crop",
    [Crop(16, 16), Crop(15, 15), Crop(left=20, right=20), Crop(12, 12, 30, 30), Crop(left=2, right=2), Crop(bottom=2)],
    ids=str,
)
@pytest.mark.parametrize("level", [0.0, 16 / 255])
def test_bars_are_found_to_the_pixel(crop, level):
    assert found(barred(film(), crop, level)) == crop


def test_sides_that_would_be_odd_lose_a_line_more():
    assert found(barred(film(), Crop(15, 16))) == Crop(15, 17)


@pytest.mark.parametrize("noise", [0.0, 0.015])
def test_of_a_file_too(noise, tmp_path):
    pictures = barred(film(), Crop(16, 16))
    pictures += noise * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))
    video = TensorSource(pictures.clamp(0, 1), Fraction(25))
    write_video(tmp_path / "a.mp4", video.frames(), video.info, encoding=Encoding(quality=28))
    source = FileSource(str(tmp_path / "a.mp4"))
    assert hint_of_bars(source.thumbnails)
    top, bottom = (crop := find_bars(source).crop).top, crop.bottom
    assert 16 <= top <= 18 and 16 <= bottom <= 18 and not crop.left and not crop.right, "the encoder blurs the edge"


def test_scaled_bars_lose_their_soft_edge():
    pictures = barred(film(), Crop(15, 15))
    pictures[:, 15], pictures[:, -16] = 0.3 * pictures[:, 15], 0.3 * pictures[:, -16]
    assert found(pictures) == Crop(16, 16)


def test_bars_that_come_and_go_are_picture():
    pictures = barred(film(), Crop(16, 16))
    pictures[30:] = film()[30:]
    assert not found(pictures)


def test_a_dark_beginning_does_not_hide_bars():
    pictures = barred(film(), Crop(16, 16))
    pictures[:25] *= 0.05
    assert found(pictures) == Crop(16, 16)


def dark_scenes() -> dict[str, torch.Tensor]:
    black = torch.zeros(40, HEIGHT, WIDTH, 3)
    rows = torch.linspace(-1, 1, HEIGHT)[:, None, None]
    columns = torch.linspace(-1, 1, WIDTH)[None, :, None]
    night, title, disc = black.clone(), black.clone(), black.clone()
    night[:, 60:] = film()[:, 60:]
    title[:, 50:70, 40:120:4] = 1.0
    disc[:] = (rows.square() + columns.square() < 0.4).float()
    return {
        "nothing but black": black,
        "very dark": film(light=0.05),
        "a night sky over a lit street": night,
        "white letters on black": title,
        "a disc in the dark": disc,
        "a spot that fades to its edges": film() * (1 - rows.abs()).clamp(0, 0.5) * 2,
        "a curtain on the left": barred(film(), Crop(left=50)),
    }


@pytest.mark.parametrize("kind", dark_scenes())
def test_dark_scenes_are_not_cut(kind):
    pictures = dark_scenes()[kind]
    bars = find_bars(TensorSource(pictures, Fraction(25)))
    assert not bars.crop, bars
    assert not hint_of_bars(TensorSource(pictures, Fraction(25)).thumbnails)


def test_what_was_dark_and_is_no_bar_is_said():
    ever = torch.ones(100, 200)
    ever[:30] = 0
    assert str(bars_around(ever)) == (
        "no black bars; 30 dark lines at the top have no match across and are taken for a dark picture"
    )
    assert str(bars_around(torch.ones(4, 4))) == "no black bars"


def test_only_as_much_is_read_as_is_needed():
    read = []
    source = TensorSource(barred(film(), Crop(16, 16)), Fraction(25))
    source.images[33:] *= 0.01
    frames = source.frames
    source.frames = lambda: (read.append(1) or frame for frame in frames())
    calls = []
    find_bars(source, lambda: calls.append(1))
    assert len(calls) == len(read) <= 40
