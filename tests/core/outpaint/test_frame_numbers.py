"""Frame numbers and ranges as they are typed."""

from __future__ import annotations

import pytest

from m3ddm_core.outpaint.frame_numbers import parse_frame_numbers, parse_frames


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", [0]),
        ("0,-1", [0, 9]),
        (" 0, 3 ;5\n7 ", [0, 3, 5, 7]),
        ("-10", [0]),
        ("+2", [2]),
        ("1-3", [1, 2, 3]),
        ("4-4", [4]),
        ("1 - 3", [1, 2, 3]),
        ("1- 3", [1, 2, 3]),
        ("1 -3", [1, 7]),
        ("-3--1", [7, 8, 9]),
        ("8--1, 0-1", [8, 9, 0, 1]),
        ("-10-1", [0, 1]),
        ("0--1", list(range(10))),
        ("0\uff0c-1", [0, 9]),
        ("\uff10\u3001\uff0d1\uff1b\u22123", [0, 9, 7]),
    ],
)
def test_frame_numbers_are_read(text, numbers):
    assert parse_frame_numbers(text, 10) == parse_frames(text, 10) == numbers


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a", "got 'a' in the frame numbers"),
        ("1.5", "1.5"),
        ("1--", "'1--'"),
        ("-", "'-'"),
        ("1-2-3", "'1-2-3'"),
        ("1..3", "'1..3'"),
        ("1:3", "'1:3'"),
        ("10", "frame number 10 for a video of 10 frames, expected -10 to 9"),
        ("-11", "frame number -11"),
        ("8-12", "frame number 12"),
        ("0-99999999999", "frame number 99999999999"),
        ("3-1", "'3-1', which runs backwards from 3 to 1"),
        ("-1--3", "backwards from 9 to 7"),
        ("²", "'²'"),
    ],
)
def test_other_texts_are_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_frames(text, 10)


@pytest.mark.parametrize(
    ("text", "numbers"), [("", []), (" ,; ", []), ("0,0", [0, 0]), ("2-4, 3-5", [2, 3, 4, 3, 4, 5])]
)
def test_a_selection_may_be_empty_and_overlap(text, numbers):
    assert parse_frames(text, 10) == numbers
    with pytest.raises(ValueError, match="name a frame twice" if numbers else "expected whole numbers"):
        parse_frame_numbers(text, 10)
