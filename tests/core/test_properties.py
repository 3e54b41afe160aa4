"""What holds for everything that can be asked: plans, placements, masks, composites, times, keys, frame numbers.

The examples are hypothesis's, drawn the same in every run.
"""

from __future__ import annotations

import copy
from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m3ddm_core.canvas.build import make_canvas
from m3ddm_core.canvas.limits import MOST_AREA, MOST_SIDE
from m3ddm_core.canvas.placement import ANCHORS, Placement, place, with_canvas
from m3ddm_core.composite.compositor import Compositor, composite
from m3ddm_core.journal.clips import ClipJournal
from m3ddm_core.journal.digest import digest
from m3ddm_core.journal.store import Journal
from m3ddm_core.outpaint.frame_numbers import parse_frames
from m3ddm_core.outpaint.plan import CLIP_LENGTH, plan_video
from m3ddm_core.sampling.clip import ClipConditions
from m3ddm_core.video.timeline import Timeline

PLAIN = settings(derandomize=True, database=None, deadline=None, max_examples=200)
FEW = settings(PLAIN, max_examples=25)
"""Of what computes on pictures."""

SIDES = st.integers(1, 9000)
BORDERS = st.one_of(st.just(0), st.integers(0, 20_000))


@st.composite
def framings(draw: st.DrawFn, sides: st.SearchStrategy[int] = SIDES, borders: st.SearchStrategy[int] = BORDERS) -> dict:
    """A source and what `place` is asked for, which it may well refuse."""
    asked = {
        "source": (draw(sides), draw(sides)),
        "canvas_size": draw(st.integers(1, 32)) * 8,
        "canvas_shape": draw(st.sampled_from(("square", "target"))),
        "size_multiple": draw(st.integers(1, 17)),
    }
    if draw(st.booleans()):
        return {**asked, "pixels": tuple(draw(borders) for _ in range(4))}
    ratio = f"{draw(st.integers(1, 60))}:{draw(st.integers(1, 60))}"
    return {**asked, "ratio": ratio, "anchor": draw(st.sampled_from(sorted(ANCHORS)))}


def inside(inner: tuple[int, ...], outer: tuple[int, ...]) -> bool:
    """Whether a rectangle (x, y, width, height), not empty, lies within another."""
    return all(
        inner[axis + 2] >= 1
        and outer[axis] <= inner[axis]
        and inner[axis] + inner[axis + 2] <= outer[axis] + outer[axis + 2]
        for axis in (0, 1)
    )


@PLAIN
@given(framings())
def test_a_placement_holds_together_or_is_refused_in_a_line(asked):
    try:
        placement = place(**asked)
    except ValueError as error:
        assert str(error).startswith("got ") and "expected" in str(error) and len(str(error)) < 400
        return
    source, target = placement.source, placement.target
    assert source == asked["source"] and all(border >= 0 for border in placement.border)
    assert inside((*placement.offset, *source), (0, 0, *target))
    assert max(target) <= MOST_SIDE and target[0] * target[1] <= MOST_AREA
    assert all(side % asked["size_multiple"] == 0 for side in target)
    assert all(side % 8 == 0 and 8 <= side <= max(asked["canvas_size"], 8) for side in placement.canvas)
    assert inside(placement.canvas_target, (0, 0, *placement.canvas))
    assert inside(placement.canvas_source, placement.canvas_target)
    assert placement.is_full == (placement.border == (0, 0, 0, 0))
    assert with_canvas(placement, asked["canvas_size"], asked["canvas_shape"]) == placement


@st.composite
def videos(draw: st.DrawFn) -> tuple[int, set[int], tuple[int, ...] | None]:
    """How many frames, which are known from the outset, and the strides, None for the usual ones."""
    frames = draw(st.integers(1, 200))
    guides = draw(st.sets(st.integers(0, frames - 1), max_size=8))
    strides = draw(st.none() | st.lists(st.integers(2, 20), max_size=2).map(lambda more: (*more, 1)))
    return frames, guides, strides


@PLAIN
@given(videos())
def test_a_plan_makes_every_unknown_frame_once_out_of_what_is_there(video):
    frames, known, strides = video
    settled = set(known)
    for stage in plan_video(frames, strides, guides=known):
        for wave in stage:
            there = frozenset(settled)
            for clip in wave:
                assert len(clip.indices) == CLIP_LENGTH and min(clip.indices) >= 0 and max(clip.indices) < frames
                assert all(index in there for index, is_known in zip(clip.indices, clip.known, strict=True) if is_known)
                assert not settled.intersection(clip.generated), "a frame is made once"
                settled.update(clip.generated)
    assert settled == set(range(frames))


SMALL = framings(st.integers(4, 40), st.integers(0, 24))


def small_placement(asked: dict) -> Placement:
    """On a canvas of 64 pixels at most."""
    return place(**{**asked, "canvas_size": min(asked["canvas_size"], 64)})


@FEW
@given(SMALL, st.integers(1, 3), st.integers(0, 2**31), st.booleans())
def test_a_canvas_shows_the_source_wherever_its_mask_is_open(asked, frames, seed, masked):
    placement, draw = small_placement(asked), torch.Generator().manual_seed(seed)
    (width, height), (x, y, wide, high) = placement.source, placement.canvas_source
    source = torch.rand(frames, height, width, 3, generator=draw)
    matte = (torch.rand(frames, height, width, generator=draw) < 0.02).float() if masked else None
    canvas, mask = make_canvas(source, placement, matte)
    whole, border = make_canvas(source, placement)
    open_everywhere = mask.expand(frames, -1, -1) == 0
    assert set(mask.unique().tolist()) <= {0.0, 1.0} and torch.isfinite(canvas).all()
    assert torch.equal(canvas[open_everywhere], whole[open_everywhere]), "what is known does not depend on the mask"
    assert (mask >= border).all() or placement.is_full
    if masked:
        blocks = mask.unfold(1, 8, 8).unfold(2, 8, 8)[..., :, :].flatten(3)
        beyond = border.expand_as(mask).unfold(1, 8, 8).unfold(2, 8, 8).flatten(3).amax(-1) > 0
        assert ((blocks.amin(-1) == blocks.amax(-1)) | beyond).all(), "a latent is known whole or not at all"
        for row, column in ((row, column) for row in (0, height - 1) for column in (0, width - 1)):
            if matte[0, row, column]:
                here = mask[0, y + row * high // height, x + column * wide // width]
                assert here == 1, "nothing under the mask is shown"


@FEW
@given(SMALL, st.integers(2, 4), st.integers(0, 2**31), st.sampled_from(("none", "linear", "steady")), st.booleans())
def test_a_composite_keeps_the_source_and_does_not_depend_on_how_it_is_cut(asked, frames, seed, colours, smooth):
    placement, draw = small_placement(asked), torch.Generator().manual_seed(seed)
    (width, height), (left, top) = placement.source, placement.offset
    source = torch.rand(frames, height, width, 3, generator=draw)
    generated = torch.rand(frames, *placement.canvas[::-1], 3, generator=draw)
    options = {"feather": 0, "colour_match": colours, "blend": "gradient" if smooth else "feather"}
    finished = composite(source, generated, placement, **options)
    assert finished.shape == (frames, *placement.target[::-1], 3)
    assert torch.equal(finished[:, top : top + height, left : left + width], source)
    assert torch.isfinite(finished).all() and finished.min() >= 0 and finished.max() <= 1
    compositor = Compositor(placement, **options)
    parts = [compositor(source[n : n + 1], generated[n : n + 1]) for n in range(frames)]
    torch.testing.assert_close(torch.cat(parts), finished, atol=1e-5, rtol=0)


STAMPS = st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=1, max_size=60)
RATES = st.fractions(Fraction(1, 10), 240, max_denominator=1001)


@PLAIN
@given(STAMPS, st.integers(0, 2**30), st.integers(1, 90_000), RATES, st.data())
def test_times_rise_from_zero_whatever_the_stamps_and_a_part_keeps_its_own(stamps, last, units, rate, data):
    timeline = Timeline.of(stamps, last, Fraction(1, units), rate)
    assert len(timeline) == len(stamps) and timeline.times[0] == 0
    assert all(
        after > before for before, after in zip(timeline.times, [*timeline.times[1:], timeline.end], strict=True)
    )
    first = data.draw(st.integers(0, len(timeline) - 1))
    end = data.draw(st.integers(first + 1, len(timeline)))
    part = timeline.cut(first, end)

    def moments(line: Timeline) -> list[Fraction]:
        return [time * line.time_base for time in (*line.times, line.end)]

    assert moments(part) == [moment - moments(timeline)[first] for moment in moments(timeline)[first : end + 1]]


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.binary(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def spelled(value: object) -> str:
    """A value with the kinds of all that is in it: 1, 1.0 and True are three."""
    if isinstance(value, dict):
        return f"dict({[(spelled(key), spelled(part)) for key, part in value.items()]})"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({[spelled(part) for part in value]})"
    return f"{type(value).__name__}:{value!r}"


@PLAIN
@given(VALUES, VALUES)
def test_two_values_have_one_digest_only_if_they_are_alike(one, other):
    assert digest(copy.deepcopy(one)) == digest(one)
    assert (digest(one) == digest(other)) == (spelled(one) == spelled(other))


@FEW
@given(st.integers(1, 4), st.integers(0, 2**31), st.data())
def test_a_clips_key_is_its_own_in_every_batch_and_everything_counts(clips, seed, data):
    draw = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    given_all = {"masked": drawn(clips, 5, 16, 2, 2), "blank": drawn(clips, 5, 16, 2, 2), "shown": drawn(2, 4, 4, 4)}
    given_all |= {"start": drawn(clips, 4, 16, 2, 2), "noise": drawn(clips, 4, 16, 2, 2)}

    def keys(parts: dict[str, torch.Tensor], fps: int = 25, recipe: str = "recipe") -> tuple[str, ...]:
        conditions = ClipConditions(parts["masked"], parts["blank"], parts["shown"], fps)
        return ClipJournal(Journal("nowhere"), recipe).keys(conditions, parts["start"], parts["noise"])

    whole = keys(given_all)
    alone = [
        keys({name: part if name == "shown" else part[n : n + 1] for name, part in given_all.items()})[0]
        for n in range(clips)
    ]
    assert list(whole) == alone and len(set(whole)) == clips
    changed = data.draw(st.sampled_from(sorted(given_all)))
    where = data.draw(st.integers(0, given_all[changed].numel() - 1))
    other = given_all[changed].clone()
    other.view(-1)[where] += 1
    row = where // (other.numel() // len(other))
    for n, (before, after) in enumerate(zip(whole, keys({**given_all, changed: other}), strict=True)):
        assert (before != after) == (changed == "shown" or n == row)
    assert not set(whole) & {*keys(given_all, fps=24), *keys(given_all, recipe="another")}


@PLAIN
@given(st.integers(1, 300), st.data())
def test_frame_numbers_name_what_they_say(frames, data):
    pairs = data.draw(st.lists(st.tuples(*[st.integers(0, frames - 1)] * 2), max_size=5))
    ranges = [tuple(sorted(pair)) for pair in pairs]
    from_end = data.draw(st.lists(st.booleans(), min_size=len(ranges), max_size=len(ranges)))

    def written(first: int, last: int, back: bool) -> str:
        return f"{first - frames}-{last - frames}" if back else f"{first}-{last}"

    text = ", ".join(written(*pair, back) for pair, back in zip(ranges, from_end, strict=True))
    assert parse_frames(text, frames) == [number for first, last in ranges for number in range(first, last + 1)]


@PLAIN
@given(st.text(max_size=30), st.integers(1, 300))
def test_any_text_is_frame_numbers_or_refused_in_a_line(text, frames):
    try:
        assert all(0 <= number < frames for number in parse_frames(text, frames))
    except ValueError as error:
        assert str(error).startswith("got ") and "expected" in str(error)
