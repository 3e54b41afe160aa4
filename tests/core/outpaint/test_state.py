"""Frames made unknown again: what stays, what comes back, and what another seed changes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from m3ddm_core.outpaint.plan import plan_stage
from m3ddm_core.outpaint.stages import outpaint_stage, outpaint_video
from tests.helpers.blank_states import make_state


def guided_state(frames, guides=()):
    return make_state(frames).with_guides({index: torch.full((4, 2, 2), float(index)) for index in guides})


def mixing_sampler(conditions, start, noise, callback):
    """Every frame depends on the noise and on all that its clip is shown."""
    return start + noise + conditions.masked_video.mean((1, 2, 3, 4), keepdim=True)


def outpaint(state, seed):
    return outpaint_video(state, mixing_sampler, seed=seed)


def changed(one, other):
    return {index for index in range(one.num_frames) if not torch.equal(one.latents[index], other.latents[index])}


@pytest.mark.parametrize("frames", [40, 150])
@pytest.mark.parametrize("gone", [{20}, set(range(10, 31)), set(range(30, 40)), set(range(5)), {3, 17, 18, 36}])
def test_another_seed_changes_what_was_forgotten_and_nothing_else(frames, gone):
    finished = outpaint(guided_state(frames), seed=1)
    forgotten = finished.without(gone)
    assert forgotten.known == set(range(frames)) - gone and changed(finished, forgotten) == gone
    assert torch.equal(forgotten.latents[sorted(gone)], finished.start[sorted(gone)])
    again, other = outpaint(forgotten, seed=1), outpaint(forgotten, seed=2)
    assert changed(finished, other) == changed(again, other) == gone
    assert torch.equal(outpaint(forgotten, seed=2).latents, other.latents)
    assert finished.known == set(range(frames)), "the state given is not changed"


@pytest.mark.parametrize("frames", [40, 150])
def test_everything_forgotten_is_the_beginning(frames):
    fresh = guided_state(frames)
    finished = outpaint(fresh, seed=1)
    forgotten = finished.without(range(frames))
    assert not forgotten.known and torch.equal(forgotten.latents, fresh.latents)
    assert torch.equal(outpaint(forgotten, seed=1).latents, finished.latents)


def test_a_clip_forgotten_whole_comes_back_with_the_same_seed():
    """Its surroundings are what they were when it was made."""
    finished = outpaint(guided_state(150), seed=1)
    ((clip, *_),) = plan_stage(150, 1, range(0, 150, 5))
    again = outpaint_stage(finished.without(clip.generated), 1, mixing_sampler, seed=1)
    assert torch.equal(again.latents, finished.latents)


def test_nothing_to_forget_changes_nothing():
    fresh = guided_state(40)
    finished = outpaint(fresh, seed=1)
    for state, numbers in ((finished, ()), (fresh, range(40))):
        same = state.without(numbers)
        assert same.known == state.known and not changed(same, state)
    assert torch.equal(outpaint(finished.without(()), seed=2).latents, finished.latents)


def test_guides_stay_unless_asked():
    finished = outpaint(guided_state(40, guides=(0, 20)), seed=1)
    kept, gone = finished.without(range(15, 25)), finished.without(range(15, 25), guides=True)
    assert 20 in kept.known and kept.guides == {0, 20} and torch.equal(kept.latents[20], finished.latents[20])
    assert 20 not in gone.known and gone.guides == {0} and torch.equal(gone.latents[20], gone.start[20])
    assert changed(finished, outpaint(kept, seed=2)) == set(range(15, 25)) - {20}
    assert changed(finished, outpaint(gone, seed=2)) == set(range(15, 25))


def test_frames_that_the_mask_leaves_free_have_nothing_to_forget():
    state = guided_state(20, guides=(3, 4))
    masks = state.masks.clone()
    masks[3] = 0
    state = dataclasses.replace(state, masks=masks).without(range(20), guides=True)
    assert state.known == state.guides == {3}
