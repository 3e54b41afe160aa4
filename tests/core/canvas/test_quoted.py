"""Messages that repeat what was typed stay short, whatever was pasted."""

from __future__ import annotations

import pytest

from m3ddm_core.canvas.motion_path import parse_path
from m3ddm_core.canvas.placement import parse_ratio, place
from m3ddm_core.canvas.quoted import quoted
from m3ddm_core.outpaint.frame_numbers import parse_frame_numbers, parse_frames

LONG = "9" * 5000


def test_what_is_short_is_shown_whole():
    assert quoted("16:9") == "'16:9'" and quoted((1, 2)) == "(1, 2)"
    assert len(quoted("x" * 10**6)) < 120 and quoted("x" * 10**6).endswith("(1,000,002 characters)")


@pytest.mark.parametrize(
    "read",
    [
        lambda text: parse_ratio(text),
        lambda text: parse_ratio(f"{text}:9"),
        lambda text: place((64, 64), ratio=(float("inf"), text)),
        lambda text: place((64, 64), ratio="1:1", anchor=text),
        lambda text: place((64, 64), ratio="1:1", canvas_shape=text),
        lambda text: parse_frames(text, 10),
        lambda text: parse_frames(f"0-{text}", 10),
        lambda text: parse_frames("0 " * 5000 + "x", 10),
        lambda text: parse_frames("9-0" + " " * 5000, 10),
        lambda text: parse_frame_numbers("0 " * 5000, 10),
        lambda text: parse_frame_numbers(" " * 5000, 10),
        lambda text: parse_path(f"0: {text}, 0", 10),
        lambda text: parse_path("0: 0, 0;" * 2000, 10),
        lambda text: parse_path(";" * 5000, 10),
    ],
)
def test_thousands_of_characters_end_in_a_line(read):
    with pytest.raises(ValueError, match="got") as caught:
        read(LONG)
    assert len(str(caught.value)) < 400 and "expected" in str(caught.value)
