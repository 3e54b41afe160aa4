"""The board's JSON: what it may say, and one line for whatever it may not."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from m3ddm_core.video import board as boards
from m3ddm_core.video.board import MOST_CHARACTERS, Board, Decision, read_board, write_board


def read(text):
    return read_board(text, Path)


def test_a_scene_has_what_is_said_of_it_and_all_else_is_as_for_the_video():
    board = read(
        """{"cuts": [48, 96, 120], "scenes": [{"first": 0}, {"first": 48, "anchor": [0.2, 1], "seed": 7},
        {"first": 96, "offset": [0, 12], "guides": {"0": "a.png", "-1": "b.png"}, "leave": true}]}"""
    )
    assert board.cuts == (48, 96, 120)
    assert board.decisions([48, 96, 120], 150, shortened=False) == [
        Decision(),
        Decision(anchor=(0.2, 1), seed=7),
        Decision(offset=(0, 12), guides=((0, Path("a.png")), (-1, Path("b.png"))), leave=True),
        Decision(),
    ]
    assert read('{"scenes": [{"first": 9, "anchor": "top left"}]}') == Board({9: Decision(anchor="top left")})


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"scenes": []}'])
def test_an_empty_board_says_nothing(text):
    assert read(text) == Board() and Board().cuts_before(9, shortened=False) is None


def test_what_is_listed_can_be_read_and_keeps_what_was_decided():
    text = write_board([48, 96], '{"scenes": [{"first": 48, "seed": 7, "guides": {"0": "日本.png"}}]}')
    assert "日本" in text and text.count("\n") == 6, "a line for each scene"
    assert read(text) == Board(
        {0: Decision(), 48: Decision(seed=7, guides=((0, Path("日本.png")),)), 96: Decision()}, (48, 96)
    )


BAD = {
    "no JSON": ("{", "got a board that is no JSON"),
    "no object": ("[1]", "got the board [1], expected"),
    "two of one name": ('{"cuts": [], "cuts": [3]}', "'cuts' stands twice"),
    "unknown": ('{"scene": []}', "got 'scene' in the board, expected only cuts, scenes"),
    "no list": ('{"scenes": {}}', "got {} for scenes in the board, expected a list"),
    "falling cuts": ('{"cuts": [8, 8]}', "got 8 among the cuts"),
    "cut at 0": ('{"cuts": [0]}', "got 0 among the cuts"),
    "cuts of words": ('{"cuts": ["8"]}', "got '8' among the cuts"),
    "no first": ('{"scenes": [{"seed": 1}]}', "got {'seed': 1} for scene 1 of the board"),
    "true": ('{"scenes": [{"first": true}]}', "got {'first': True} for scene 1 of the board"),
    "twice": ('{"scenes": [{"first": 3}, {"first": 3}]}', "got two scenes that begin at frame 3"),
    "unknown in a scene": ('{"scenes": [{"first": 3, "sed": 1}]}', "got 'sed' in the board's scene at frame 3"),
    "two places": ('{"scenes": [{"first": 3, "anchor": "top", "offset": [0, 0]}]}', "got an anchor and an offset"),
    "anchor": ('{"scenes": [{"first": 3, "anchor": "middle"}]}', "got the anchor 'middle' for the board's scene at"),
    "share": ('{"scenes": [{"first": 3, "anchor": [0.5, 1.5]}]}', "got the anchor [0.5, 1.5]"),
    "NaN": ('{"scenes": [{"first": 3, "anchor": [NaN, 0]}]}', "got the anchor [nan, 0]"),
    "offset": ('{"scenes": [{"first": 3, "offset": [-1, 0]}]}', "got the offset [-1, 0]"),
    "half an offset": ('{"scenes": [{"first": 3, "offset": [1.5, 0]}]}', "got the offset [1.5, 0]"),
    "seed": ('{"scenes": [{"first": 3, "seed": -1}]}', "got the seed -1"),
    "large seed": ('{"scenes": [{"first": 3, "seed": 18446744073709551616}]}', "got the seed 18446744073709551616"),
    "leave": ('{"scenes": [{"first": 3, "leave": 1}]}', "got 1 for leave of the board's scene at frame 3"),
    "guides": ('{"scenes": [{"first": 3, "guides": ["a.png"]}]}', "got the guides ['a.png']"),
    "guide's number": ('{"scenes": [{"first": 3, "guides": {"first": "a.png"}}]}', "got the guide 'first': 'a.png'"),
    "guide's name": ('{"scenes": [{"first": 3, "guides": {"0": ""}}]}', "got the guide '0': ''"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_line(case):
    text, expected = BAD[case]
    with pytest.raises(ValueError) as error:
        read(text)
    assert expected in str(error.value)
    assert "expected" in str(error.value) or "twice" in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


HOSTILE = {
    "deep lists": "[" * 900_000,
    "deep objects": '{"scenes":' * 90_000,
    "deep scene": '{"scenes": [' + "[" * 400 + "]" * 400 + "]}",
    "huge": '{"cuts": [' + "1," * MOST_CHARACTERS + "2]}",
    "many names": "{" + ",".join(f'"{number}": 0' for number in range(60_000)) + ', "1": 0}',
    "a long number": '{"scenes": [{"first": ' + "9" * 900_000 + "}]}",
    "many cuts": json.dumps({"cuts": list(range(150_000))}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_deep_or_huge_is_refused_at_once(case, monkeypatch):
    """At once: what is too long is not parsed, and no line of ours is gone through more often than there are
    characters."""
    parsed, lines = [], Counter()
    loads = boards.json.loads
    monkeypatch.setattr(boards.json, "loads", lambda text, **given: parsed.append(len(text)) or loads(text, **given))

    def count(frame, event, argument):
        if frame.f_code.co_filename != boards.__file__:
            return None
        lines[frame.f_lineno] += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        with pytest.raises(ValueError) as error:
            read(HOSTILE[case])
    finally:
        sys.settrace(before)
    assert sum(parsed) <= MOST_CHARACTERS and 0 < max(lines.values()) <= len(HOSTILE[case])
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_board_for_another_video_is_found_out():
    board = Board({0: Decision(), 48: Decision(seed=1)}, (48,))
    with pytest.raises(ValueError, match="got a cut at frame 48 in the board and a video of 40 frames"):
        board.cuts_before(40, shortened=False)
    with pytest.raises(
        ValueError, match="begins at frame 48 in the board, expected a frame at which one begins: 0, 50;"
    ):
        board.decisions([50], 90, shortened=False)
    with pytest.raises(ValueError, match=r"0, 50, .* 550 \.\.\. \(40 scenes\)"):
        board.decisions(range(50, 2000, 50), 2000, shortened=False)


def test_of_the_beginning_of_a_video_only_what_lies_in_it_counts():
    board = Board({0: Decision(seed=1), 48: Decision(seed=2)}, (24, 48))
    assert board.cuts_before(40, shortened=True) == [24]
    assert board.decisions([24], 40, shortened=True) == [Decision(seed=1), Decision()]
