"""Truth, what was given, and what each method made of it, side by side: one row a case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from ..canvas.build import placement_mask
from ..canvas.placement import Placement
from ..video.formats import Encoding
from ..video.source import VideoInfo
from ..video.writer import write_video

GRID_FRAMES = 150
"""A grid is for looking at: longer clips are cut."""

LABEL_HEIGHT = 24
BLANK = 128
QUALITY = 20
"""x264's."""


def write_grid(
    path: Path,
    truth: np.ndarray,
    rows: Mapping[str, Mapping[str, np.ndarray]],
    placements: Mapping[str, Placement],
    fps: float,
    comment: str,
) -> None:
    """Write the frames of `grid_frames` as a video that says ``comment``."""
    frames = grid_frames(truth, rows, placements)
    first = next(frames)
    info = VideoInfo.even((first.shape[1], first.shape[0]), min(len(truth), GRID_FRAMES), fps)
    pictures = (torch.from_numpy(frame) / 255 for frame in chain([first], frames))
    write_video(path, pictures, info, encoding=Encoding(quality=QUALITY), metadata={"comment": comment})


def grid_frames(
    truth: np.ndarray, rows: Mapping[str, Mapping[str, np.ndarray]], placements: Mapping[str, Placement]
) -> Iterator[np.ndarray]:
    """Yield frames (h, w, 3), uint8, with even sides, of a grid.

    truth: (n, size, size, 3), uint8; rows: by case, by method, frames of the same shape; placements: by case.
    """
    size = truth.shape[1]
    methods = list(next(iter(rows.values())))
    header = np.concatenate([_label(text, size) for text in ("truth", "given", *methods)], axis=1)
    captions = {case: _label(case, header.shape[1]) for case in rows}
    holes = {case: placement_mask(placement)[0].numpy() > 0 for case, placement in placements.items()}
    for index, frame in enumerate(truth[:GRID_FRAMES]):
        lines = [header]
        for case, results in rows.items():
            given = np.where(holes[case][..., None], np.uint8(BLANK), frame)
            cells = [frame, given, *(results[method][index] for method in methods)]
            lines += [captions[case], np.concatenate(cells, axis=1)]
        yield np.concatenate(lines)


def _label(text: str, width: int) -> np.ndarray:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, LABEL_HEIGHT), (24, 24, 24))
    ImageDraw.Draw(picture).text((6, 6), text, fill=(240, 240, 240))
    return np.asarray(picture)
