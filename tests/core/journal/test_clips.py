"""Keys of clips: another for whatever decides a clip, the same for what does not."""

from __future__ import annotations

from dataclasses import replace

import torch

from m3ddm_core.journal.clips import ClipJournal, recipe
from m3ddm_core.journal.store import Journal
from m3ddm_core.outpaint.clips import clip_inputs
from m3ddm_core.outpaint.plan import plan_stage
from m3ddm_core.sampling.settings import PRESETS, SamplingSettings
from tests.helpers.blank_states import make_state

USUAL = SamplingSettings()


def keys_of(tmp_path, state, *, seed=0, guide_noise=0, made_by="recipe", stride=1):
    clips = plan_stage(state.num_frames, stride, state.known, state.guides)[0]
    return ClipJournal(Journal(tmp_path), made_by).keys(*clip_inputs(state, clips, seed=seed, guide_noise=guide_noise))


def test_each_setting_makes_another_recipe_but_for_how_many_at_once():
    changed = {"steps": 3, "sampler": "euler", "scheduler": "karras", "context_scale": 1.5, "global_scale": 1.5}
    changed |= {"guidance_start": 0.1, "guidance_end": 0.9, "unconditional_every": 2, "denoise": 0.5, "guide_noise": 9}
    assert {*changed, "clips_per_batch"} == USUAL.flat().keys()
    others = [recipe(USUAL.changed({name: value}), 0, "weights") for name, value in changed.items()]
    others += [recipe(preset, 0, "weights") for name, preset in PRESETS.items() if name != "reference"]
    usual = recipe(USUAL, 0, "weights")
    others += [recipe(USUAL, 1, "weights"), recipe(USUAL, 0, "others"), recipe(USUAL, 0, "weights", "fp16")]
    assert len({usual, *others}) == len(others) + 1
    assert recipe(replace(USUAL, clips_per_batch=4), 0, "weights") == usual


def test_all_that_a_clip_is_made_of_is_in_its_key(tmp_path):
    state = make_state(16).with_guides({3: torch.ones(4, 2, 2)})

    def moved(name):
        tensor = getattr(state, name).clone()
        tensor.view(-1)[-1] += 1e-6
        return replace(state, **{name: tensor})

    usual = keys_of(tmp_path, state)
    tensors = ("start", "masked", "masks", "blank", "global_latents")
    others = [keys_of(tmp_path, moved(name)) for name in tensors]
    others += [keys_of(tmp_path, replace(state, fps=24.0)), keys_of(tmp_path, make_state(16))]
    others += [keys_of(tmp_path, state.with_guides({3: torch.full((4, 2, 2), 2.0)}))]
    others += [keys_of(tmp_path, state, seed=1), keys_of(tmp_path, state, guide_noise=5)]
    others += [keys_of(tmp_path, state, made_by="another"), keys_of(tmp_path, state, stride=2)]
    assert len({usual, *others}) == len(others) + 1
    assert keys_of(tmp_path, state) == usual == keys_of(tmp_path, replace(state, latent_rgb=torch.ones(5, 3)))


def test_a_batch_has_the_keys_of_its_clips_and_is_taken_whole_or_not_at_all(tmp_path):
    state = make_state(46).with_guides({index: torch.ones(4, 2, 2) for index in (0, 15, 30, 45)})
    clips = plan_stage(46, 1, state.known, state.guides)[0]
    journal = ClipJournal(Journal(tmp_path), "recipe")
    keys = journal.keys(*clip_inputs(state, clips, seed=0, guide_noise=0))
    alone = [journal.keys(*clip_inputs(state, [clip], seed=0, guide_noise=0)) for clip in clips]
    assert len(set(keys)) == 3 and [key for (key,) in alone] == list(keys)
    latents = torch.randn(3, 4, 16, 2, 2)
    journal.put(keys[:2], latents[:2])
    assert journal.take(keys) is None and torch.equal(journal.take(keys[:2]), latents[:2])
    journal.put(keys[2:], latents[2:])
    assert torch.equal(journal.take(keys), latents)
