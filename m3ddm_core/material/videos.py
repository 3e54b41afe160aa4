"""The shots of a video file, small, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..video.cuts import find_cuts
from ..video.file import FileSource
from ..video.reader import decodable, open_file, video_stream
from ..video.shown import Orientation, pixel_aspect, square_size
from .film import is_the_film, training_shots
from .pictures import UnusableMaterial

ROOM = 1.5
"""How much larger than asked for frames are kept, where they are: for a view to move and zoom in."""
CUT_THRESHOLD = 0.25
LONGEST = 2_000
"""Frames of one shot that are held in memory: a longer one becomes several."""

Span = tuple[int, int]
"""The first frame of a shot, and the one after its last."""


def read_shots(path: Path, size: tuple[int, int], least: int) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the shots of a video that have ``least`` frames: pixels (n, h, w, 3), uint8, upright, and frames a second.

    They cover 1.5 times ``size`` (width, height) where the video is that large. Of Big Buck Bunny only those shots come
    that training may see. Raises `UnusableMaterial` where nothing can be used, or not to the end.
    """
    try:
        spans, fps = _spans(path)
        long = [(first, end) for first, end in spans if end - first >= least]
        if not long:
            raise UnusableMaterial(f"got {max(end for _, end in spans)} frames, expected a shot of {least} among them")
        for frames in _shots(path, long, size):
            yield frames, fps
    except UnusableMaterial:
        raise
    # FileSource tells by ValueError what it cannot read.
    except (OSError, ValueError) as error:
        raise UnusableMaterial(str(error)) from None


def _spans(path: Path) -> tuple[list[Span], float]:
    """Where the shots of a file lie, and its frames a second."""
    if is_the_film(path):
        return [(shot.first, shot.end) for shot in training_shots()], 24.0
    source = FileSource(str(path))
    count = len(source.thumbnails)
    edges = [0, *find_cuts(source.thumbnails, CUT_THRESHOLD), count]
    spans = [
        (start, min(start + LONGEST, end)) for first, end in pairwise(edges) for start in range(first, end, LONGEST)
    ]
    return spans, count / float(source.info.timeline.seconds)


def _shots(path: Path, spans: Sequence[Span], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Decode spans of a file, in order and apart from one another."""
    from av.video.reformatter import Interpolation, VideoReformatter

    shrink, waiting = VideoReformatter(), iter(spans)
    span, run = next(waiting), []
    with open_file(str(path)) as container:
        stream = video_stream(container)
        aspect = pixel_aspect(stream)
        # Counted as FileSource counts them, which the spans are of.
        for number, frame in enumerate(decodable(container, stream)):
            if number < span[0]:
                continue
            orientation = Orientation.of(frame)
            stored = square_size(frame.width, frame.height, aspect)
            width, height = _kept(stored, orientation.size(*size))
            picture = shrink.reformat(frame, width, height, "rgb24", interpolation=Interpolation.AREA).to_ndarray()
            run.append(orientation.turn(picture))
            if number + 1 == span[1]:
                yield np.stack(run)
                span, run = next(waiting, None), []
                if span is None:
                    return
    raise UnusableMaterial(
        f"got a file that ends before frame {span[1]}, expected all that it had when it was looked through"
    )


def _kept(frame: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Width and height in which a frame is kept. Raises where it is smaller than what is to be cut out of it."""
    (width, height), (least_width, least_height) = frame, size
    if width < least_width or height < least_height:
        raise UnusableMaterial(f"got {width}x{height} pixels, expected {least_width}x{least_height} or more")
    scale = min(1.0, ROOM * max(least_width / width, least_height / height))
    return max(least_width, round(width * scale)), max(least_height, round(height * scale))
