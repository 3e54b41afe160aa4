"""Interlaced frames, which hold two pictures line by line, made whole: one frame of each, so that times hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

FIELDS = ("auto", "off", "top", "bottom")
"""What can be asked for: to deinterlace frames that say they are interlaced, none, or all, by which field is first."""

_ASKED = {"auto": "parity=auto:deint=interlaced", "top": "parity=tff:deint=all", "bottom": "parity=bff:deint=all"}
"""Of FFmpeg's filter bwdif."""


def check_fields(fields: str) -> None:
    """Raise ValueError for another word than those of `FIELDS`."""
    if fields not in FIELDS:
        raise ValueError(f"got the fields {fields!r}, expected one of {', '.join(FIELDS)}")


def is_interlaced(frame: Any) -> bool:
    """Whether a PyAV frame says so. A PNG that says so means something else, and no camera has RGB with fields."""
    return frame.interlaced_frame and not frame.format.is_rgb and frame.format.name != "pal8"


def whole_frames(frames: Iterable[Any], fields: str) -> Iterator[Any]:
    """PyAV's frames, deinterlaced, as many as there were and with their stamps: each is built of its first field."""
    machine, kind = None, None
    for frame in frames:
        if (frame.format.name, frame.width, frame.height) != kind:
            if machine:
                yield from machine.rest()
            kind, machine = (frame.format.name, frame.width, frame.height), _Deinterlacer(frame, fields)
        yield from machine.after(frame)
    if machine:
        yield from machine.rest()


class _Deinterlacer:
    """FFmpeg's bwdif, which gives a frame when it has seen the next."""

    def __init__(self, frame: Any, fields: str):
        import av

        self._graph = graph = av.filter.Graph()
        steps = [
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
            ),
            graph.add("bwdif", f"mode=send_frame:{_ASKED[fields]}"),
            graph.add("buffersink"),
        ]
        for before, after in pairwise(steps):
            before.link_to(after)
        graph.configure()
        self._entry, self._end = steps[0], steps[-1]
        self._stamps: deque[tuple[int | None, Any]] = deque()
        self._number = 0

    def after(self, frame: Any) -> Iterator[Any]:
        """What comes out once a frame has gone in."""
        self._stamps.append((frame.pts, frame.time_base))
        # The filter counts on stamps that rise; the frame's own are given back to it.
        frame.pts, self._number = self._number, self._number + 1
        self._entry.push(frame)
        return self._come()

    def rest(self) -> Iterator[Any]:
        """What is still to come of the frames so far."""
        self._entry.push(None)
        return self._come()

    def _come(self) -> Iterator[Any]:
        import av

        while True:
            try:
                frame = self._end.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            frame.pts, frame.time_base = self._stamps.popleft()
            yield frame
