"""The stage loop over a made-up sampler: order, conditions, batches, noise, and what is kept."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.journal.clips import ClipJournal
from m3ddm_core.journal.store import Journal
from m3ddm_core.outpaint.clips import NonFiniteLatents, clip_inputs, ready_clip, with_clips
from m3ddm_core.outpaint.plan import levels, plan_stage, plan_video
from m3ddm_core.outpaint.stages import outpaint_stage, outpaint_video
from m3ddm_core.sampling.schedule import add_noise
from tests.helpers.blank_states import make_state


def mixing_sampler(conditions, start, noise, callback):
    """Depends on everything it is given, on each clip alone."""
    result = start + 0.1 * noise + conditions.masked_video[:, :4].mean((1, 2, 3, 4), keepdim=True)
    result = result + conditions.blank_video[:, :4].mean((1, 2, 3, 4), keepdim=True) + conditions.fps
    callback(0, 1, result)
    return result


@pytest.mark.parametrize("frames", [1, 2, 16, 17, 49, 50, 64, 77, 241])
@pytest.mark.parametrize("clips_per_batch", [2, 5])
def test_the_batch_of_clips_changes_nothing(frames, clips_per_batch):
    state = make_state(frames)
    alone = outpaint_video(state, mixing_sampler, seed=3)
    together = outpaint_video(state, mixing_sampler, seed=3, clips_per_batch=clips_per_batch)
    assert alone.known == together.known == frozenset(range(frames))
    assert torch.equal(alone.latents, together.latents)


@pytest.mark.parametrize("frames", [1, 20, 64])
def test_a_video_can_be_made_clip_by_clip(frames):
    state, by_hand = make_state(frames), make_state(frames)
    for stride in levels(frames):
        while True:
            try:
                clip = ready_clip(by_hand, stride, 0)
            except ValueError as error:
                assert f"nothing is left to sample at stride {stride}" in str(error)
                break
            inputs = clip_inputs(by_hand, [clip], seed=3, guide_noise=0)
            by_hand = with_clips(by_hand, [clip], mixing_sampler(*inputs, lambda *step: None))
    assert torch.equal(by_hand.latents, outpaint_video(state, mixing_sampler, seed=3).latents)


def test_clips_of_a_wave_can_be_put_back_in_any_order():
    state = make_state(46).with_guides({index: torch.randn(4, 2, 2) for index in (0, 15, 30, 45)})
    clips = [ready_clip(state, 1, number) for number in (0, 1, 2)]
    results = [mixing_sampler(*clip_inputs(state, [c], seed=3, guide_noise=0), lambda *step: None) for c in clips]
    done = state
    for number in (2, 0, 1):
        done = with_clips(done, [clips[number]], results[number])
    assert torch.equal(done.latents, outpaint_video(state, mixing_sampler, seed=3).latents)
    with pytest.raises(ValueError, match=r"clip number 3, expected 0 to 2: of the 3 clips left at stride 1"):
        ready_clip(state, 1, 3)
    with pytest.raises(ValueError, match=r"shape \(1, 4, 16, 2, 2\), expected \(2, 4, 16, 2, 2\)"):
        with_clips(state, clips[:2], results[0])


def test_the_state_given_is_not_changed():
    state = make_state(20)
    before = state.latents.clone()
    outpaint_stage(state, 1, mixing_sampler, seed=0)
    assert torch.equal(state.latents, before) and not state.known


def test_known_frames_are_shown_in_both_contexts_and_kept():
    state = make_state(16).with_guides({3: torch.full((4, 2, 2), 7.0)})
    ((clip,),) = plan_stage(16, 1, state.known, state.guides)
    conditions, start, noise = clip_inputs(state, [clip], seed=0, guide_noise=0)
    assert start.shape == noise.shape == (1, 4, 16, 2, 2)
    for context in (conditions.masked_video, conditions.blank_video):
        assert torch.equal(context[0, :4, 3], torch.full((4, 2, 2), 7.0))
        assert not context[0, 4, 3].any()
    assert torch.equal(conditions.masked_video[0, :4, 0], state.masked[0])
    assert torch.equal(conditions.masked_video[0, 4:, 0], state.masks[0])
    assert torch.equal(conditions.blank_video[0, :4, 0], state.blank[0])
    assert conditions.blank_video[0, 4, 0].all()
    done = outpaint_stage(state, 1, mixing_sampler, seed=0)
    assert torch.equal(done.latents[3], torch.full((4, 2, 2), 7.0))
    assert done.guides == {3} and not done.unknown_masks.any()


def test_frame_rate_is_that_of_the_strided_clip():
    rates = []

    def watching(conditions, start, noise, callback):
        rates.append(conditions.fps)
        return start

    outpaint_video(make_state(64, fps=29.97), watching, seed=0)
    assert rates == [1, 5, 29, 29, 29, 29, 29]


def test_progress_is_told_over_all_levels():
    seen = []
    outpaint_video(make_state(64), mixing_sampler, seed=0, on_progress=lambda progress: seen.append(progress[:2]))
    clips = sum(len(wave) for stage in plan_video(64) for wave in stage)
    assert seen == [(done, clips) for done in range(1, clips + 1)]


def test_every_clip_draws_the_same_noise():
    draws = []

    def watching(conditions, start, noise, callback):
        draws.extend(noise)
        return start

    outpaint_video(make_state(64), watching, seed=11, clips_per_batch=2)
    expected = torch.randn((1, 4, 16, 2, 2), generator=torch.Generator().manual_seed(11))[0]
    assert all(torch.equal(draw, expected) for draw in draws)


def test_guide_noise_perturbs_what_is_shown_not_what_is_kept():
    guide = torch.full((4, 2, 2), 7.0)
    state = make_state(16).with_guides({3: guide})
    ((clip,),) = plan_stage(16, 1, state.known, state.guides)
    shown, _, noise = clip_inputs(state, [clip], seed=5, guide_noise=400)
    clean, _, same_noise = clip_inputs(state, [clip], seed=5, guide_noise=0)
    assert torch.equal(noise, same_noise), "guide noise is a draw of its own"
    assert torch.equal(shown.masked_video[:, :4, 3], shown.blank_video[:, :4, 3])
    generator = torch.Generator().manual_seed(5)
    torch.randn((1, 4, 16, 2, 2), generator=generator)
    draw = torch.randn((1, 4, 16, 2, 2), generator=generator)
    expected = add_noise(guide.expand(1, 4, 2, 2), draw[:, :, 3], 400)
    torch.testing.assert_close(shown.masked_video[:, :4, 3], expected)
    assert torch.equal(clean.masked_video[0, :4, 3], guide)
    assert torch.equal(outpaint_stage(state, 1, mixing_sampler, seed=5, guide_noise=400).latents[3], guide)


def test_progress_counts_clip_steps_up_to_the_total():
    reports = []

    def three_steps(conditions, start, noise, callback):
        for step in range(3):
            callback(step, 3, start)
        return start

    state = make_state(46).with_guides({index: torch.zeros(4, 2, 2) for index in (0, 15, 30, 45)})
    outpaint_stage(state, 1, three_steps, seed=0, clips_per_batch=2, on_progress=reports.append)
    assert [report.done for report in reports] == [2, 4, 6, 7, 8, 9]
    assert {report.total for report in reports} == {9}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_latents_are_named_by_clip_and_step(bad):
    def breaks(conditions, start, noise, callback):
        callback(0, 4, start)
        broken = start.clone()
        broken[1, 0, 0] = bad
        callback(1, 4, broken)

    state = make_state(46).with_guides({index: torch.zeros(4, 2, 2) for index in (0, 15, 30, 45)})
    with pytest.raises(NonFiniteLatents, match=r"step 2 of 4 in the clip of frames 15 to 30 \(stride 1\)"):
        outpaint_stage(state, 1, breaks, seed=0, clips_per_batch=3)


def test_bad_latents_at_the_very_end_are_named_too():
    with pytest.raises(NonFiniteLatents, match="after its last step in the clip of frames 0 to 15"):
        outpaint_stage(make_state(16), 1, lambda c, start, n, cb: start * float("nan"), seed=0)


@pytest.mark.parametrize("settings", [{"clips_per_batch": 0}, {"guide_noise": 1000}, {"guide_noise": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=str(next(iter(settings.values())))):
        outpaint_stage(make_state(16), 1, mixing_sampler, seed=0, **settings)


@pytest.mark.parametrize(("index", "shape"), [(16, (4, 2, 2)), (-1, (4, 2, 2)), (0, (4, 3, 2))])
def test_guides_that_do_not_fit_are_refused(index, shape):
    with pytest.raises(ValueError, match=str(index)):
        make_state(16).with_guides({index: torch.zeros(shape)})


class Killed(Exception):
    pass


def dying_sampler(after, made):
    """`mixing_sampler` that is killed in the batch after so many; ``made`` counts finished clips."""

    def sample(conditions, start, noise, callback):
        if len(made) >= after:
            raise Killed
        made.extend(start)
        return mixing_sampler(conditions, start, noise, callback)

    return sample


@pytest.mark.parametrize("clips_per_batch", [1, 3])
def test_a_run_killed_at_any_clip_goes_on_and_ends_in_the_same_bytes(clips_per_batch, tmp_path):
    state = make_state(96)
    whole = outpaint_video(state, mixing_sampler, seed=3, clips_per_batch=clips_per_batch)
    clips = sum(len(wave) for stage in plan_video(96) for wave in stage)
    for after in range(clips):
        journal, made = ClipJournal(Journal(tmp_path / str(after)), "recipe"), []
        options = {"seed": 3, "clips_per_batch": clips_per_batch, "journal": journal}
        with pytest.raises(Killed):
            outpaint_video(state, dying_sampler(after, made), **options)
        done = outpaint_video(state, dying_sampler(99, made), **options)
        assert torch.equal(done.latents, whole.latents) and done.known == whole.known
        assert len(made) == clips, "none is made twice"
    again = outpaint_video(state, dying_sampler(0, []), **options)
    assert torch.equal(again.latents, whole.latents), "a finished run is taken whole"


def test_a_batch_of_which_some_is_lost_is_made_again(tmp_path):
    state, journal, made = make_state(96), Journal(tmp_path), []
    options = {"seed": 3, "clips_per_batch": 3, "journal": ClipJournal(journal, "recipe")}
    whole = outpaint_video(state, dying_sampler(99, made), **options)
    entries = sorted(tmp_path.iterdir())
    assert len(entries) == len(made)
    for entry in entries[::2]:
        entry.unlink()
    assert torch.equal(outpaint_video(state, mixing_sampler, **options).latents, whole.latents)
    assert sorted(tmp_path.iterdir()) == entries


def test_clips_that_are_taken_count_as_done(tmp_path, caplog):
    caplog.set_level("INFO")
    clips = sum(len(wave) for stage in plan_video(64) for wave in stage)
    journal, seen = Journal(tmp_path), []
    options = {"seed": 0, "journal": ClipJournal(journal, "recipe"), "on_progress": seen.append}
    with pytest.raises(Killed):
        outpaint_video(make_state(64), dying_sampler(2, []), **options)
    assert "taking up clips" not in caplog.text and journal.taken == 0
    seen.clear()
    outpaint_video(make_state(64), mixing_sampler, **options)
    assert [(progress.done, progress.total) for progress in seen] == [(done, clips) for done in range(1, clips + 1)]
    assert [progress.taken for progress in seen] == [True] * 2 + [False] * (clips - 2)
    assert seen[0].denoised.shape == (1, 4, 16, 2, 2) and seen[0].clip_number == 1
    assert caplog.text.count("taking up clips that an earlier run finished") == 1 and journal.taken == 2


def test_latents_that_are_not_finite_are_not_kept(tmp_path):
    def broken(conditions, start, noise, callback):
        return start / 0

    with pytest.raises(NonFiniteLatents):
        outpaint_video(make_state(16), broken, seed=0, journal=ClipJournal(Journal(tmp_path / "journal"), "recipe"))
    assert not (tmp_path / "journal").exists()
