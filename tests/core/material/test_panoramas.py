"""Panoramas of every format, as one picture of everything around."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from m3ddm_core.material.panoramas import KTX_HEADER, KTX_MAGIC, R11F_G11F_B10F, _developed, read_panorama
from m3ddm_core.material.pictures import UnusableMaterial

ONE = 15 << 6
"""1.0 as a float of five bits of exponent and six of mantissa."""
COLOURS = {"+x": (1, 0, 0), "-x": (0, 1, 0), "+y": (0, 0, 1), "-y": (1, 1, 0), "+z": (1, 0, 1), "-z": (0, 1, 1)}


def cube_map(path: Path, side: int = 8) -> Path:
    """A cube map whose six faces have six colours."""
    faces = [ONE * r | (ONE * g) << 11 | (15 << 5) * b << 22 for r, g, b in COLOURS.values()]
    header = KTX_HEADER.pack(
        KTX_MAGIC,
        0x04030201,
        R11F_G11F_B10F,
        1,
        R11F_G11F_B10F,
        R11F_G11F_B10F,
        R11F_G11F_B10F,
        side,
        side,
        0,
        0,
        6,
        1,
        0,
    )
    texels = np.repeat(np.array(faces, "<u4"), side * side)
    path.write_bytes(header + np.uint32(4 * side * side).tobytes() + texels.tobytes())
    return path


def test_the_faces_of_a_cube_map_lie_where_they_look(tmp_path: Path) -> None:
    panorama = read_panorama(cube_map(tmp_path / "box.ktx"), 512)
    assert panorama.shape == (16, 32, 3) and panorama.dtype == np.uint8
    bright = panorama > 60
    places = {"+z": (8, 16), "+x": (8, 24), "-x": (8, 8), "-z": (8, 0), "+y": (0, 5), "-y": (15, 5)}
    for face, place in places.items():
        np.testing.assert_array_equal(bright[place], COLOURS[face], err_msg=face)


def test_what_is_no_panorama_is_named(tmp_path: Path) -> None:
    square = tmp_path / "square.png"
    Image.new("RGB", (64, 64)).save(square)
    with pytest.raises(UnusableMaterial, match="64x64 pixels, expected a panorama twice as wide as high"):
        read_panorama(square, 512)
    short = cube_map(tmp_path / "short.ktx")
    short.write_bytes(short.read_bytes()[:-8])
    with pytest.raises(UnusableMaterial, match="six"):
        read_panorama(short, 512)
    empty = tmp_path / "empty.exr"
    empty.write_bytes(b"no picture")
    with pytest.raises(UnusableMaterial, match=r"cannot be read|without a header"):
        read_panorama(empty, 512)


def test_light_that_no_screen_shows_is_rolled_off() -> None:
    light = torch.tensor([0.5, 1.0, 1.0, 8.0, 1e9, float("nan")]).view(-1, 1).expand(-1, 3)
    shown, brighter = _developed(light)[:, 0], _developed(1000 * light.nan_to_num(1e9))[1, 0]
    assert (shown.diff() >= 0).all() and shown[-2:].tolist() == pytest.approx([1.0, 1.0])
    assert shown[1] == pytest.approx(brighter.item(), rel=1e-3), "exposed by its median"
    assert 0.3 < shown[1] < 0.6 and shown[3] < 0.95
