"""Frames as a user names them: "0, 30, -1", "120-150", "-10--1"."""

from __future__ import annotations

import re

from ..canvas.quoted import quoted
from ..canvas.typed import plain

_PART = re.compile(r"([+-]?\d{1,18})(?:-([+-]?\d{1,18}))?", re.ASCII)
_SPACED_DASH = re.compile(r"(?<=\d)\s*-\s+(?=[+-]?\d)", re.ASCII)
"""A dash before a space is no sign. "3 -1" stays two numbers."""


def parse_frames(text: str, frames: int) -> list[int]:
    """Read frame numbers and ranges, in the order given, for a video of so many frames.

    Numbers count from 0, negative ones from the end; a range holds both its ends: "-10--1" is the last ten frames. An
    empty text names none. A frame may be named more than once.

    Raises ``ValueError`` for anything else, for numbers out of range and for ranges that run backwards.
    """
    found: list[int] = []
    for part in filter(None, re.split(r"[\s,;]+", _SPACED_DASH.sub("-", plain(text)))):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(
                f"got {quoted(part)} in the frame numbers {quoted(text)}, expected whole numbers and ranges such as "
                "'0', '0,-1', '120-150' or '-10--1'"
            )
        first, last = (_number(int(end), frames) for end in (match[1], match[2] or match[1]))
        if first > last:
            raise ValueError(
                f"got the range of frames {quoted(part)}, which runs backwards from {first} to {last} in a video of "
                f"{frames} frames, expected the earlier frame first"
            )
        found += range(first, last + 1)
    return found


def parse_frame_numbers(text: str, frames: int) -> list[int]:
    """As `parse_frames`, but at least one frame, and each at most once."""
    numbers = parse_frames(text, frames)
    if not numbers:
        raise ValueError(f"got frame numbers {quoted(text)}, expected whole numbers such as '0', '0,-1' or '0,30,60'")
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"got frame numbers {quoted(text)}, which name a frame twice; expected each frame once")
    return numbers


def _number(number: int, frames: int) -> int:
    """A frame number from 0 up."""
    if not -frames <= number < frames:
        raise ValueError(
            f"got frame number {number} for a video of {frames} frames, expected {-frames} to {frames - 1} "
            "(negative numbers count from the end)"
        )
    return number % frames
