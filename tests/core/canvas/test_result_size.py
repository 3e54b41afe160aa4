"""How large the result is: what is asked for comes out, and the source is scaled with it."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from m3ddm_core.canvas.framing import Framing
from m3ddm_core.canvas.placement import place
from m3ddm_core.canvas.result_size import (
    AS_SOURCE,
    AUTOMATIC,
    HEIGHT,
    LONGEST_SIDE,
    MEGAPIXELS,
    SHORT_SIDE,
    ResultSize,
    parse_result_size,
)
from m3ddm_core.canvas.source_mask import mask_for_frames, scale_mask
from m3ddm_core.frames import scale_frames
from m3ddm_core.video.source import TensorSource, scaled_source

PHONE, PHONE_4K, FULL_HD = (1080, 1920), (2160, 3840), (1920, 1080)


@pytest.mark.parametrize(
    ("source", "ratio", "size", "scaled", "target"),
    [
        (PHONE, "16:9", ResultSize(AUTOMATIC), (608, 1080), (1920, 1080)),
        (PHONE_4K, "16:9", ResultSize(AUTOMATIC), (608, 1080), (1920, 1080)),
        (FULL_HD, "9:16", ResultSize(AUTOMATIC), (1080, 608), (1080, 1920)),
        ((3840, 2160), "21:9", ResultSize(AUTOMATIC), FULL_HD, (2520, 1080)),
        ((1280, 720), "21:9", ResultSize(AUTOMATIC), (1280, 720), (1680, 720)),
        (PHONE, "16:9", ResultSize(AS_SOURCE), PHONE, (3414, 1920)),
        (PHONE, "16:9", ResultSize(SHORT_SIDE, 720), (405, 720), (1280, 720)),
        ((1280, 720), "9:16", ResultSize(HEIGHT, 1920), (1080, 608), (1080, 1920)),
        ((640, 360), "9:16", ResultSize(SHORT_SIDE, 1080), (1080, 608), (1080, 1920)),
        (PHONE, "1:1", ResultSize(LONGEST_SIDE, 1000), (563, 1000), (1000, 1000)),
        ((1000, 1000), "1:1", ResultSize(MEGAPIXELS, 0.25), (500, 500), (500, 500)),
        ((64, 36), "9:16", ResultSize(SHORT_SIDE, 1080), (1080, 608), (1080, 1920)),
    ],
)
def test_the_result_has_the_size_that_is_asked_for(source, ratio, size, scaled, target):
    placed = Framing(ratio=ratio, canvas_size=256, size=size).place(source)
    assert (placed.source, placed.target) == (scaled, target)


def test_without_a_size_nothing_is_scaled():
    assert place(PHONE, ratio="16:9") == place(PHONE, ratio="16:9", size=ResultSize())
    assert Framing(canvas_size=256).place(PHONE).source == PHONE


def test_pixels_that_are_added_count_as_typed_unless_the_source_is_large():
    added = {"pixels": (100, 0, 60, 0), "size": ResultSize(AUTOMATIC)}
    assert place(FULL_HD, **added) == place(FULL_HD, pixels=(100, 0, 60, 0))
    half = place((3840, 2160), **added)
    assert (half.source, half.target, half.offset) == (FULL_HD, (2000, 1080), (50, 0))


@pytest.mark.parametrize(("anchor", "x"), [("left", 0), ("center", 656), ("right", 1312)])
def test_the_source_keeps_its_place(anchor, x):
    assert place(PHONE, ratio="16:9", anchor=anchor, size=ResultSize(AUTOMATIC)).offset == (x, 0)


def test_an_offset_counts_source_pixels():
    """So that what was drawn for one size holds for every other."""
    assert place(PHONE, ratio="16:9", offset=(2334, 0), size=ResultSize(AUTOMATIC)).offset == (1312, 0)
    assert place(PHONE, ratio="16:9", offset=(1000, 0), size=ResultSize(AUTOMATIC)).offset == (562, 0)
    with pytest.raises(ValueError, match=r"got offset_x=2335, .*expected 0 to 2334"):
        place(PHONE, ratio="16:9", offset=(2335, 0), size=ResultSize(AUTOMATIC))


def test_a_side_without_a_border_gets_none():
    """Where the source is scaled anyway, it fills up what rounding would leave."""
    odd = (1281, 721)
    assert place(odd, ratio="1281:721").border != (0, 0, 0, 0)
    assert place(odd, ratio="1281:721", size=ResultSize(SHORT_SIDE, 1080)).is_full


def test_a_small_result_of_a_large_frame_is_not_refused():
    with pytest.raises(ValueError, match="got a target of 16000x16000"):
        place((9000, 16000), ratio="1:1")
    assert place((9000, 16000), ratio="1:1", size=ResultSize(HEIGHT, 1080)).target == (1080, 1080)
    with pytest.raises(ValueError, match="got a target of"):
        place((64, 36), ratio="100:1", size=ResultSize(SHORT_SIDE, 1080))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("automatic", ResultSize(AUTOMATIC)),
        ("source", ResultSize(AS_SOURCE)),
        ("1080", ResultSize(SHORT_SIDE, 1080)),
        ("720P", ResultSize(SHORT_SIDE, 720)),
        ("short:720", ResultSize(SHORT_SIDE, 720)),
        ("height:720", ResultSize(HEIGHT, 720)),
        ("longest:1920", ResultSize(LONGEST_SIDE, 1920)),
        (" 2.1 MP", ResultSize(MEGAPIXELS, 2.1)),
    ],
)
def test_a_size_is_typed(text, size):
    assert parse_result_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("large", "got the size 'large', expected automatic"),
        ("width:720", "got the size 'width:720'"),
        ("0", "a short side of 0 pixels, expected 1 to 16384"),
        ("height:99999", "a height of 99999 pixels"),
        ("0MP", "got a result of 0.0 megapixels, expected 0.01 to 134"),
        ("１080", "got the size"),
    ],
)
def test_what_is_no_size_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_result_size(text)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="got the result size 'width', expected one of automatic"):
        ResultSize("width", 4)


def test_megapixels_are_exact_fractions():
    assert ResultSize(MEGAPIXELS, 1.0).factor((500, 500), (500, 500), False) == Fraction(2)


def test_frames_are_scaled_sharp_and_in_range():
    frames = torch.zeros(2, 40, 60, 3)
    frames[:, :, 30:] = 1.0
    heard: list[int] = []
    half = scale_frames(frames, (30, 20), heard.append)
    assert half.shape == (2, 20, 30, 3) and half.min() >= 0 and half.max() <= 1
    assert (half[:, :, :13] == 0).all() and (half[:, :, 17:] == 1).all()
    assert scale_frames(frames, (60, 40)) is frames
    assert heard == [2]


def test_a_video_is_scaled_as_it_is_read():
    images = torch.rand(3, 40, 60, 3, generator=torch.Generator().manual_seed(1))
    source = TensorSource(images, Fraction(25))
    small = scaled_source(source, (30, 20))
    assert small.info.size == (30, 20) and small.info.timeline == source.info.timeline
    assert torch.equal(torch.stack(list(small.frames())), scale_frames(images, (30, 20)))
    assert small.thumbnails is source.thumbnails, "cuts are found in the video itself"
    assert scaled_source(source, (60, 40)) is source


def test_a_scaled_mask_covers_whatever_it_touched():
    mask = torch.zeros(1, 40, 60)
    mask[:, 7, 11] = 1
    small = scale_mask(mask, (30, 20))
    assert small.shape == (1, 20, 30) and small[0, 3, 5] == 1 and small.sum() < 10
    assert scale_mask(mask, (60, 40)) is mask and scale_mask(None, (30, 20)) is None


def test_a_mask_of_the_source_fits_its_scaled_frames():
    """Global frames are encoded without a placement: there is only the shape to go by."""
    frames = torch.zeros(2, 288, 230, 3)
    assert mask_for_frames(torch.ones(360, 288), frames).shape == (1, 288, 230)
    assert mask_for_frames(torch.ones(2, 360, 288), frames).shape == (2, 288, 230)
    other = torch.ones(1, 64, 64)
    assert mask_for_frames(other, frames) is other and mask_for_frames(None, frames) is None
