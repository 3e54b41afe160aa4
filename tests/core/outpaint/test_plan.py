"""Plans against the published ones, and their promises for every length."""

from __future__ import annotations

import random

import pytest

from m3ddm_core.outpaint.plan import CLIP_LENGTH, THREE_LEVEL_FRAMES, levels, plan_stage, plan_video, strided_frames


@pytest.mark.parametrize("frames", range(1, 601))
def test_every_frame_is_made_exactly_once(frames):
    stages = plan_video(frames)
    made = [index for stage in stages for wave in stage for clip in wave for index in clip.generated]
    assert sorted(made) == list(range(frames))
    assert len(stages) == (1 if frames < THREE_LEVEL_FRAMES else 3)


@pytest.mark.parametrize("frames", range(THREE_LEVEL_FRAMES, 601))
def test_interpolation_and_infill_are_one_wave_each(frames):
    keyframes, interpolation, infill = plan_video(frames)
    assert len(interpolation) == 1 and len(infill) == 1
    assert all(len(wave) == 1 for wave in keyframes), "each keyframe clip continues from the one before"


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 49, 50, 62, 64, 77, 92, 240, 241, 600])
def test_clips_have_sixteen_frames_of_the_video_and_something_to_make(frames):
    for stage in plan_video(frames):
        for wave in stage:
            for clip in wave:
                assert len(clip.indices) == len(clip.known) == CLIP_LENGTH
                assert min(clip.indices) >= 0 and max(clip.indices) < frames
                assert not all(clip.known)


def test_one_frame_is_one_clip_of_copies():
    ((wave,),) = plan_video(1)
    (clip,) = wave
    assert clip.indices == (0,) * CLIP_LENGTH
    assert clip.generated == {0: 0}


def test_the_first_copy_of_a_repeated_frame_counts():
    ((wave,),) = plan_video(3)
    assert wave[0].generated == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("guides", [{0}, {63}, {0, 63}, {0, 30, 60}, {37}, set(range(20)), {239 % 64, 5, 6, 7}])
@pytest.mark.parametrize("frames", [64, 100, 240, 241])
def test_guides_are_never_made_again(frames, guides):
    made = [
        index
        for stage in plan_video(frames, guides=guides)
        for wave in stage
        for clip in wave
        for index in clip.generated
    ]
    assert sorted(made) == sorted(set(range(frames)) - guides)


@pytest.mark.parametrize("frames", [64, 100, 240, 241, 377])
@pytest.mark.parametrize("guide", [37, -1, -2, 0])
def test_the_first_keyframes_see_the_guide(frames, guide):
    guide %= frames
    first_wave = plan_stage(frames, 15, {guide}, {guide})[0]
    assert any(guide in clip.indices for clip in first_wave)


def test_guides_beside_a_listed_guide_do_not_join():
    assert strided_frames(64, 15, {30, 31, 37, 38, 39}) == (0, 15, 30, 38, 45, 60)


def test_knowing_everything_plans_nothing():
    assert plan_stage(64, 15, range(64), range(64)) == ()
    assert plan_video(20, guides=range(20)) == ((),)


def loose_ends(frames, known, guides, strides):
    """Clips that end, or begin, with a frame they make just beside a known frame that they do not see."""
    settled = set(known)
    for stride in strides:
        listed = strided_frames(frames, stride, guides)
        for wave in plan_stage(frames, stride, settled, guides):
            for clip in wave:
                # What fills up a short clip need not be one of the frames listed.
                first, *_, last = (index for index in clip.indices if index in listed)
                before, after = listed[: listed.index(first)][-1:], listed[listed.index(last) + 1 :][:1]
                for end, beside in ((first, before), (last, after)):
                    if end in clip.generated and settled.issuperset(beside) and beside:
                        yield clip
            settled.update(index for clip in wave for index in clip.generated)
    assert settled == set(range(frames))


@pytest.mark.parametrize("strides", [(1,), (15, 5, 1)])
def test_frames_made_anew_meet_the_known_ones_on_both_sides(strides):
    draw = random.Random(0)
    for _ in range(300):
        frames = draw.randint(50, 400)
        first = draw.randrange(frames)
        gone = range(first, min(first + draw.randint(1, 80), frames))
        assert not list(loose_ends(frames, set(range(frames)).difference(gone), (), strides)), (frames, gone)


@pytest.mark.parametrize(("gone", "last"), [(range(121, 129), 135), (range(128, 136), 139), ({135}, 143)])
def test_a_short_range_is_one_clip_unless_the_grid_parts_it(gone, last):
    """Clips end at 135. A range that ends there as well would not meet 136."""
    ((clip,),) = plan_stage(300, 1, set(range(300)).difference(gone))
    assert set(clip.generated) == set(gone) and clip.indices[-1] == last


def test_first_and_last_frame_given_meet_in_the_keyframes():
    guides = {0, 239}
    assert not list(loose_ends(240, guides, guides, (15, 5, 1)))


def test_strides_are_free():
    stages = plan_video(100, strides=(5, 3, 1))
    made = [index for stage in stages for wave in stage for clip in wave for index in clip.generated]
    assert sorted(made) == list(range(100))


def test_levels_change_at_fifty_frames():
    assert levels(49) == (1,)
    assert levels(50) == (15, 5, 1)


@pytest.mark.parametrize(("frames", "stride"), [(0, 1), (-3, 1), (10, 0)])
def test_impossible_plans_are_refused(frames, stride):
    with pytest.raises(ValueError, match=f"got {frames} frames at stride {stride}"):
        plan_stage(frames, stride)
