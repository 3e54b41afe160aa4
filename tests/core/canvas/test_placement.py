from __future__ import annotations

import itertools
import random

import pytest

from m3ddm_core.canvas.limits import MOST_AREA, MOST_SIDE
from m3ddm_core.canvas.placement import ANCHORS, Placement, parse_ratio, place

SOURCES = [
    (1280, 720),
    (1281, 721),
    (720, 1280),
    (32, 64),
    (480, 270),
    (135, 241),
    (64, 64),
    (1, 1),
    (7, 3000),
    (7680, 4320),
]
RATIOS = ["16:9", "9:16", "1:1", "4:5", "21:9", "2.39:1", "3/4", "1.78", "100:1", "1:100"]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("16:9", (16.0, 9.0)),
        (" 16 : 9 ", (16.0, 9.0)),
        ("16/9", (16.0, 9.0)),
        ("2.39:1", (2.39, 1.0)),
        ("1.78", (1.78, 1.0)),
        (".5:1", (0.5, 1.0)),
        ("1:1.25", (1.0, 1.25)),
        ("\uff11\uff16\uff1a\uff19", (16.0, 9.0)),
        ("16\uff1a9", (16.0, 9.0)),
        ("2\uff0e39\u3000\uff0f 1", (2.39, 1.0)),
    ],
)
def test_a_ratio_is_read_width_first(text: str, pair: tuple[float, float]) -> None:
    assert parse_ratio(text) == pair


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "wide",
        "16:",
        ":9",
        "16:9:1",
        "-16:9",
        "16:-9",
        "nan",
        "inf:1",
        "1e3:1",
        "16_0:9",
        "0x10:9",
        "١٦:٩",
        "16 9",
    ],
)
def test_what_is_no_ratio_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="got the ratio") as raised:
        parse_ratio(text)
    assert repr(text) in str(raised.value)
    assert "16:9" in str(raised.value)


@pytest.mark.parametrize("text", ["0:9", "16:0", "0", "0.0/1"])
def test_zero_is_no_ratio(text: str) -> None:
    with pytest.raises(ValueError, match="above zero"):
        parse_ratio(text)


@pytest.mark.parametrize("text", ["101:1", "1:101", "1920"])
def test_an_absurd_ratio_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="100:1"):
        parse_ratio(text)


@pytest.mark.parametrize("pair", [(float("nan"), 1.0), (float("inf"), 1.0), (0.0, 1.0), (-16.0, 9.0)])
def test_a_pair_that_is_no_ratio_is_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="got the ratio"):
        place((32, 32), ratio=pair)


def test_the_golden_video_is_placed_as_published() -> None:
    placed = place((32, 64), ratio="1:1", canvas_size=64)
    assert placed == Placement(
        source=(32, 64),
        target=(64, 64),
        offset=(16, 0),
        canvas=(64, 64),
        canvas_target=(0, 0, 64, 64),
        canvas_source=(16, 0, 32, 64),
    )


@pytest.mark.parametrize(
    ("source", "ratio", "multiple", "target"),
    [
        ((1280, 720), "1:1", 2, (1280, 1280)),
        ((1280, 720), "9:16", 2, (1280, 2276)),
        ((1280, 720), "9:16", 1, (1280, 2276)),
        ((1280, 720), "21:9", 1, (1680, 720)),
        ((720, 1280), "16:9", 2, (2276, 1280)),
        ((1366, 768), "16:9", 2, (1366, 768)),
        ((1281, 721), "16:9", 1, (1282, 721)),
        ((1281, 721), "16:9", 2, (1282, 722)),
        ((1920, 1080), "16:9", 16, (1920, 1088)),
        ((135, 135), "1:1", 2, (136, 136)),
        ((135, 135), "1:1", 1, (135, 135)),
        ((1000, 100), "2.39:1", 1, (1000, 418)),
    ],
)
def test_the_target_is_the_smallest_of_its_ratio(
    source: tuple[int, int], ratio: str, multiple: int, target: tuple[int, int]
) -> None:
    placed = place(source, ratio=ratio, size_multiple=multiple)
    assert placed.target == target
    assert placed.is_full == (source == target)


def _checked(placed: Placement, multiple: int) -> None:
    """What holds for every placement."""
    width, height = placed.canvas
    assert width % 8 == 0 and height % 8 == 0 and min(width, height) >= 8
    longest = max(placed.target)
    assert max(placed.canvas) <= max(longest, 8), "nothing is enlarged"
    for axis in (0, 1):
        source, target, before = placed.source[axis], placed.target[axis], placed.offset[axis]
        after = placed.border[axis + 2]
        assert target % multiple == 0
        assert min(before, after) >= 0
        assert before + source + after == target
        frame, size = placed.canvas_target[axis], placed.canvas_target[axis + 2]
        assert frame >= 0 and frame + size <= placed.canvas[axis] and size >= 1
        assert abs((placed.canvas[axis] - size) - 2 * frame) <= 1, "the target is centred on the canvas"
        start, length = placed.canvas_source[axis], placed.canvas_source[axis + 2]
        low, high = start - frame, frame + size - start - length
        assert length >= 1 and low >= 0 and high >= 0
        scale = size / target
        if before == 0:
            assert low == 0, "what touches the target's edge touches it on the canvas"
        if after == 0:
            assert high == 0
        if size >= 3:
            for border, strip in ((before, low), (after, high)):
                if border * scale >= 0.5:
                    assert strip >= 1, "a border worth half a pixel is there"
                if border * scale < 0.499:
                    assert strip == 0 or length == 1, "no generated sliver"
        if before == after and length > 1:
            assert low == high, "even stays even"
        assert abs(low - before * scale) <= 1.01 and abs(high - after * scale) <= 1.01
    assert placed.is_full == (placed.border == (0, 0, 0, 0))


def _is_taken(source: tuple[int, int], ratio: str) -> bool:
    """Whether encoders take the target: test_limits.py has those that are refused."""
    wide, high = parse_ratio(ratio)
    width, height = max(source[0], source[1] * wide / high), max(source[1], source[0] * high / wide)
    return max(width, height) < MOST_SIDE - 16 and (width + 16) * (height + 16) < MOST_AREA


def test_every_ratio_holds_for_every_source() -> None:
    pairs = [pair for pair in itertools.product(SOURCES, RATIOS) if _is_taken(*pair)]
    assert len(pairs) > 0.8 * len(SOURCES) * len(RATIOS)
    shapes = itertools.product(pairs, ANCHORS, ("square", "target"), ((256, 2), (64, 1), (512, 16), (72, 7)))
    for (source, ratio), anchor, shape, (canvas, multiple) in shapes:
        placed = place(
            source, ratio=ratio, anchor=anchor, canvas_shape=shape, canvas_size=canvas, size_multiple=multiple
        )
        _checked(placed, multiple)
        wide, high = parse_ratio(ratio)
        for axis, exact in enumerate(
            (max(source[0], source[1] * wide / high), max(source[1], source[0] * high / wide))
        ):
            grown = placed.target[axis] - exact
            assert -multiple / 2 - 1e-6 <= grown < multiple, "the nearest multiple, or the next above the source"


def test_a_thousand_random_borders_hold() -> None:
    draw = random.Random(2)
    for _ in range(3000):
        source = (draw.randint(1, 4000), draw.randint(1, 4000))
        pixels = tuple(draw.choice((0, 0, 1, 3, draw.randint(0, 100), draw.randint(0, 6000))) for _ in range(4))
        multiple = draw.choice((1, 2, 8, 64))
        placed = place(
            source,
            pixels=pixels,
            size_multiple=multiple,
            canvas_size=draw.choice((8, 64, 256, 512)),
            canvas_shape=draw.choice(("square", "target")),
        )
        _checked(placed, multiple)
        for got, asked in zip(placed.border, pixels, strict=True):
            assert abs(got - asked) < multiple
        if multiple == 1:
            assert placed.border == pixels


def test_a_thousand_random_offsets_hold() -> None:
    draw = random.Random(3)
    for _ in range(300):
        source = (draw.randint(1, 3000), draw.randint(1, 3000))
        for text in (text for text in RATIOS if _is_taken(source, text)):
            target = place(source, ratio=text)
            spare = (target.target[0] - source[0], target.target[1] - source[1])
            offset = (draw.randint(0, spare[0]), draw.randint(0, spare[1]))
            placed = place(source, ratio=text, offset=offset)
            assert placed.offset == offset
            _checked(placed, 2)


def test_an_anchor_says_where_the_source_lies() -> None:
    borders = {anchor: place((1280, 720), ratio="1:1", anchor=anchor).border for anchor in ANCHORS}
    assert borders["center"] == borders["left"] == borders["right"] == (0, 280, 0, 280)
    assert borders["top"] == borders["top left"] == (0, 0, 0, 560)
    assert borders["bottom"] == borders["bottom right"] == (0, 560, 0, 0)
    assert place((720, 1280), ratio="1:1", anchor="bottom right").border == (560, 0, 0, 0)


def test_pixels_go_where_they_were_asked_for() -> None:
    assert place((101, 50), pixels=(10, 0, 0, 0)).border == (11, 0, 0, 0)
    assert place((101, 50), pixels=(0, 0, 10, 0)).border == (0, 0, 11, 0)
    assert place((101, 50), pixels=(0, 0, 0, 7)).border == (0, 0, 1, 8)
    assert place((101, 50), pixels=(4, 0, 4, 0), size_multiple=1).target == (109, 50)


def test_the_canvas_is_never_larger_than_the_target() -> None:
    assert place((100, 60), ratio="1:1").canvas == (96, 96)
    assert place((5, 3), ratio="1:1").canvas == (8, 8)
    assert place((1920, 1080), ratio="9:16", canvas_size=512, canvas_shape="target").canvas == (288, 512)


def test_an_offset_outside_names_the_valid_range() -> None:
    with pytest.raises(ValueError, match=r"offset_y=561.*1280x720.*1280x1280.*0 to 560"):
        place((1280, 720), ratio="1:1", offset=(0, 561))
    with pytest.raises(ValueError, match=r"got offset_x=-1.*expected 0$"):
        place((1280, 720), ratio="1:1", offset=(-1, 0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"canvas_size": 250}, r"got canvas_size=250.*multiple of 8.*try 248"),
        ({"canvas_size": 0}, "got canvas_size=0"),
        ({"canvas_shape": "round"}, "round"),
        ({"anchor": "middle"}, r"middle.*top left"),
        ({"size_multiple": 0}, "got size_multiple=0"),
        ({"pixels": (1, 1, 1, 1)}, "exactly one"),
        ({"ratio": None}, "exactly one"),
        ({"ratio": None, "pixels": (0, 0, -4, 0)}, "got right=-4"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        place((1280, 720), **{"ratio": "1:1", **changed})
