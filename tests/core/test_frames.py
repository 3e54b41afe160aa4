from __future__ import annotations

import pytest

from m3ddm_core.frames import CHUNK_PIXELS, chunks


@pytest.mark.parametrize("frames", [0, 1, 7, 64, 65, 901])
@pytest.mark.parametrize("size", [(1, 1), (256, 256), (1920, 1080), (7680, 4320)])
def test_chunks_cover_every_frame_once_and_stay_small(frames: int, size: tuple[int, int]) -> None:
    parts = list(chunks(frames, *size))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(frames))
    for part in parts:
        count = part.stop - part.start
        assert count == 1 or count * size[0] * size[1] <= CHUNK_PIXELS
