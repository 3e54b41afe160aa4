"""The demo's strip: what it says of a video, and which frames it shows where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from devtools.inside.strip import BLANK, COLUMN_WIDTH, COLUMNS, GAP, read, strip
from tests.helpers.clip_files import rotated_file


def test_a_video_is_read_upright_with_its_facts(tmp_path: Path) -> None:
    frames, facts = read(rotated_file(tmp_path / "phone.mp4", 90, num_frames=5))
    assert facts == {"width": 48, "height": 64, "frames": 5, "fps": 10.0, "seconds": 0.5, "sound": False}
    assert [frame.size for frame in frames] == [(48, 64)] * 5


def test_the_source_lies_centred_above_its_result() -> None:
    source = [Image.new("RGB", (40, 60), (200, level, 0)) for level in range(9)]
    result = [Image.new("RGB", (80, 60), (0, level, 200)) for level in range(9)]
    sheet = np.asarray(strip(source, result))
    for column, number in enumerate(range(0, 9, 2)):
        x, y = GAP + column * (COLUMN_WIDTH + GAP), GAP + COLUMN_WIDTH * 60 // 80 // 2
        assert tuple(sheet[y, x + 10]) == BLANK
        assert tuple(sheet[y, x + COLUMN_WIDTH // 2]) == (200, number, 0)
        assert tuple(sheet[y + COLUMN_WIDTH * 60 // 80 + GAP, x + 10]) == (0, number, 200)
    assert sheet.shape[1] == COLUMNS * (COLUMN_WIDTH + GAP) + GAP


def test_a_source_of_another_size_is_brought_to_that_of_its_result() -> None:
    source = Image.new("RGB", (40, 60))
    source.paste((255, 0, 0), (0, 0, 40, 2))
    sheet = np.asarray(strip([source] * 5, [Image.new("RGB", (40, 30))] * 5)).astype(int)
    above = sheet[GAP : GAP + COLUMN_WIDTH * 30 // 40, GAP : GAP + COLUMN_WIDTH]
    red = above[2, :, 0] > 128
    assert abs(red.sum() - COLUMN_WIDTH // 2) <= 4, "the source's first line, as wide as its height allows"
